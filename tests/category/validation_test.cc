#include "server/category/validation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "fmt/format.h"
#include "server/base/status.h"
#include "server/text/clip_tokenizer.h"

namespace filo::category {
namespace {

using testing::HasSubstr;

Record Good() {
  Record record;
  record.definition.name = "metal-nut";
  record.definition.class_name = "metal nut";
  record.definition.descriptions = {"bent", "scratch on the surface", "Ölfleck", "uneven shape "};
  record.definition.normal_states = {"{}", "flawless {}"};
  record.definition.abnormal_states = {"broken {}"};
  return record;
}

std::string Field(const absl::Status& status) {
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
  const auto violation = GetFieldViolation(status);
  return violation.has_value() ? violation->field : "";
}

TEST(ValidationTest, AcceptsWhatPeopleWrite) { EXPECT_TRUE(ValidateRecord(Good()).ok()); }

TEST(ValidationTest, Ids) {
  for (const auto& good : std::vector<std::string>{"a", "metal-nut", "x9-", std::string(63, 'a')}) {
    EXPECT_TRUE(ValidateId(good, "id").ok()) << good;
  }
  for (const auto& bad : std::vector<std::string>{"", "9a", "-a", "A", "a_b", "a/b", "ä", "\xFF",
                                                  std::string(64, 'a'), "a b"}) {
    EXPECT_EQ(Field(ValidateId(bad, "category_id")), "category_id") << bad;
  }
}

TEST(ValidationTest, TextsThatAreRefused) {
  const auto with = [](const std::string& text) {
    Record record = Good();
    record.definition.descriptions.at(1) = text;
    return ValidateRecord(record);
  };
  const std::string field = "category.definition.descriptions[1]";
  EXPECT_EQ(Field(with("")), field);
  EXPECT_EQ(Field(with(std::string(201, 'a'))), field);
  EXPECT_TRUE(with(std::string(200, 'a')).ok());
  EXPECT_THAT(std::string(with("bad \xFF bytes").message()), HasSubstr("valid UTF-8"));
  EXPECT_THAT(std::string(with("line\nbreak").message()), HasSubstr("U+000A"));
  EXPECT_THAT(std::string(with(std::string("nul\0", 4)).message()), HasSubstr("U+0000"));
  EXPECT_THAT(std::string(with("rtl \u202E trick").message()), HasSubstr("direction"));
  EXPECT_THAT(std::string(with("private \uE000").message()), HasSubstr("U+E000"));
  EXPECT_THAT(std::string(with("...").message()), HasSubstr("letter or a digit"));
  EXPECT_THAT(std::string(with("x <End_Of_Text> y").message()), HasSubstr("<end_of_text>"));
  EXPECT_THAT(std::string(with("x [sep]").message()), HasSubstr("[sep]"));
}

TEST(ValidationTest, CountsAreBounded) {
  Record record = Good();
  record.definition.descriptions.assign(201, "bent");
  EXPECT_EQ(Field(ValidateRecord(record)), "category.definition.descriptions");
  record = Good();
  record.definition.harmless_phrases.assign(51, "logo");
  EXPECT_EQ(Field(ValidateRecord(record)), "category.definition.harmless_phrases");
  record = Good();
  for (int i = 0; i < 33; ++i) record.labels.emplace(fmt::format("k{}", i), "v");
  EXPECT_EQ(Field(ValidateRecord(record)), "category.labels");
  record = Good();
  record.labels["k"] = std::string(101, 'v');
  EXPECT_EQ(Field(ValidateRecord(record)), "category.labels[k]");
}

TEST(ValidationTest, StatesNeedAPlaceForTheClassName) {
  Record record = Good();
  record.definition.abnormal_states = {"broken {}", "broken"};
  EXPECT_EQ(Field(ValidateRecord(record)), "category.definition.abnormal_states[1]");
}

TEST(ValidationTest, SettingsHaveRanges) {
  const auto with = [](auto change) {
    InspectionSettings settings;
    change(settings);
    return ValidateSettings(settings, "inspection");
  };
  const double nan = std::numeric_limits<double>::quiet_NaN();
  EXPECT_EQ(Field(with([&](auto& s) { s.score_threshold = nan; })), "inspection.score_threshold");
  EXPECT_EQ(Field(with([&](auto& s) { s.unsure_margin = -0.1; })), "inspection.unsure_margin");
  EXPECT_EQ(Field(with([&](auto& s) { s.pixel_threshold = 1.5; })), "inspection.pixel_threshold");
  EXPECT_EQ(Field(with([&](auto& s) { s.minimum_area = -1; })), "inspection.minimum_area");
  EXPECT_EQ(Field(with([&](auto& s) { s.millimetres_per_pixel = 0; })), "inspection.millimetres_per_pixel");
  EXPECT_EQ(Field(with([&](auto& s) { s.tiling = Tiling{63, 0}; })), "inspection.tiling.tile_size");
  EXPECT_EQ(Field(with([&](auto& s) { s.tiling = Tiling{128, 64}; })), "inspection.tiling.overlap");
  EXPECT_TRUE(with([&](auto& s) { s.tiling = Tiling{128, 63}; }).ok());
}

TEST(ValidationTest, PolygonsAreSimpleAndHaveAnArea) {
  const auto with = [](Polygon polygon) {
    InspectionSettings settings;
    settings.inspect = {{{0, 0}, {10, 0}, {0, 10}}, std::move(polygon)};
    return ValidateSettings(settings, "inspection");
  };
  EXPECT_TRUE(with({{0, 0}, {10, 0}, {10, 10}, {0, 10}}).ok());
  EXPECT_TRUE(with({{0, 0}, {10, 0}, {5, 2}, {10, 10}, {0, 10}}).ok());  // concave
  EXPECT_EQ(Field(with({{0, 0}, {10, 0}})), "inspection.inspect[1]");
  EXPECT_EQ(Field(with({{0, 0}, {5, 5}, {10, 10}})), "inspection.inspect[1]");
  EXPECT_THAT(std::string(with({{0, 0}, {10, 10}, {10, 0}, {0, 7}}).message()),
              HasSubstr("not cross itself"));
  EXPECT_EQ(Field(with({{0, 0}, {std::numeric_limits<double>::quiet_NaN(), 0}, {0, 1}})),
            "inspection.inspect[1].points[1]");
  EXPECT_EQ(Field(with(Polygon(1001, Point{1, 1}))), "inspection.inspect[1]");
}

class LengthsTest : public testing::Test {
 protected:
  LengthsTest() {
    clip_ = *text::ClipTokenizer::Load(FILO_TEST_DATA "/vocab/clip_bpe_simple_vocab_16e6.txt.gz");
    bert_ = *text::BertTokenizer::Load(FILO_TEST_DATA "/vocab/bert_base_uncased_vocab.txt");
    prompts_.context_vectors = 12;
    prompts_.normal_states = {"{}"};
    prompts_.description_templates = {"abnormal {} with {description}"};
    prompts_.abnormal_states = {"damaged {}"};
    prompts_.positions = {"top left", "center"};
    prompts_.general_words = {"anomaly", "damage"};
  }
  TextLimits Limits() const { return {&prompts_, clip_.get(), 77, bert_.get(), 256}; }

  std::unique_ptr<const text::ClipTokenizer> clip_;
  std::unique_ptr<const text::BertTokenizer> bert_;
  bundle::Prompts prompts_;
};

TEST_F(LengthsTest, NamesThePhraseAndTheSurplus) {
  Category category = Good().definition;
  EXPECT_TRUE(ValidateLengths(category, Limits(), "category.definition").ok());
  std::string words;
  for (int i = 0; i < 90; ++i) words.append("a ");  // 180 bytes, but 90 tokens
  category.descriptions[2] = words;
  const absl::Status prompt = ValidateLengths(category, Limits(), "category.definition");
  EXPECT_EQ(Field(prompt), "category.definition.descriptions[2]");
  EXPECT_THAT(std::string(prompt.message()), HasSubstr("too many"));
  category.descriptions.clear();
  for (int i = 0; i < 80; ++i) category.descriptions.push_back(fmt::format("scratch number {}", i));
  const absl::Status caption = ValidateLengths(category, Limits(), "category.definition");
  EXPECT_EQ(Field(caption), "category.definition.descriptions");
  // [CLS] + 2 * 2 + 80 * 4 + [SEP] = 326.
  EXPECT_THAT(std::string(caption.message()), HasSubstr("has 326, 70 too many"));
  TextLimits no_grounding = Limits();
  no_grounding.caption_tokenizer = nullptr;
  EXPECT_TRUE(ValidateLengths(category, no_grounding, "category.definition").ok());
}

}  // namespace
}  // namespace filo::category
