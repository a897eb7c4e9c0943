#include "server/text/caption.h"

#include <gtest/gtest.h>

#include "fmt/format.h"
#include "server/base/status.h"
#include "tests/text/golden_lines.h"

namespace filo::text {
namespace {

using testing::Test;

std::unique_ptr<const BertTokenizer> Load() {
  auto tokenizer = BertTokenizer::Load(FILO_TEST_DATA "/vocab/bert_base_uncased_vocab.txt");
  EXPECT_TRUE(tokenizer.ok()) << tokenizer.status();
  return *std::move(tokenizer);
}

TEST(CaptionTest, EqualsTheReferenceOnEveryGoldenCaption) {
  const auto tokenizer = Load();
  const auto lines = GoldenLines("text/captions.jsonl");
  EXPECT_EQ(lines.size(), 23u);
  int phrases = 0;
  for (const auto& line : lines) {
    const std::string text = line["text"];
    SCOPED_TRACE(text);
    const Caption caption = MakeCaption(*tokenizer, text);
    EXPECT_EQ(caption.text, line["caption"].get<std::string>());
    EXPECT_EQ(caption.ids, line["ids"].get<std::vector<std::int64_t>>());
    EXPECT_EQ(caption.position_ids, line["position_ids"].get<std::vector<std::int64_t>>());
    std::vector<std::vector<std::int64_t>> rows;
    for (const TokenRange& row : caption.attends) rows.push_back({row.begin, row.end});
    EXPECT_EQ(rows, line["mask_rows"].get<std::vector<std::vector<std::int64_t>>>());
    for (const auto& phrase : line["phrases"]) {
      std::vector<float> probabilities(std::max<std::size_t>(caption.ids.size(), 256), 0.1f);
      for (const std::size_t on : phrase["on"]) probabilities[on] = 0.5f;
      EXPECT_EQ(DecodePhrase(*tokenizer, caption, probabilities, 0.25f), phrase["phrase"].get<std::string>());
      ++phrases;
    }
  }
  EXPECT_GT(phrases, 100);
}

TEST(CaptionTest, ThresholdIsStrict) {
  const auto tokenizer = Load();
  const Caption caption = MakeCaption(*tokenizer, "cat . dog");
  EXPECT_EQ(DecodePhrase(*tokenizer, caption, std::vector<float>{1, 0.25f, 0, 0.2500001f, 0, 1}, 0.25f),
            "dog [SEP]");
}

TEST(CaptionTest, WordsComeFromBundleAndCategory) {
  bundle::Prompts prompts;
  prompts.general_words = {"anomaly", "damage"};
  category::Category category;
  category.descriptions = {"Cracked", "bent"};
  EXPECT_EQ(GroundingWords(prompts, category),
            (std::vector<std::string>{"anomaly", "damage", "Cracked", "bent"}));
  EXPECT_EQ(CaptionText(GroundingWords(prompts, category)), "anomaly . damage . cracked . bent.");
  category.grounding_descriptions = {"hole"};
  EXPECT_EQ(CaptionText(GroundingWords(prompts, category)), "anomaly . damage . hole.");
}

TEST(CaptionTest, TooLongNamesThePhraseAndTheSurplus) {
  const auto tokenizer = Load();
  std::vector<std::string> words;
  for (int i = 0; i < 10; ++i) words.push_back(fmt::format("phrase number {}", i));
  // [CLS] + 10 * (3 words + ".") + [SEP] = 42.
  ASSERT_TRUE(MakeCaptionWithin(*tokenizer, words, 42).ok());
  const auto status = MakeCaptionWithin(*tokenizer, words, 39).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_NE(status.message().find("\"phrase number 9\""), std::string::npos) << status;
  EXPECT_NE(status.message().find("has 42, 3 too many"), std::string::npos) << status;
  EXPECT_EQ(GetFieldViolation(status)->field, "category.descriptions");
  EXPECT_NE(MakeCaptionWithin(*tokenizer, words, 37).status().message().find("\"phrase number 8\""),
            std::string::npos);
}

TEST(CaptionTest, SplitLosesNothingAndEveryPartFits) {
  const auto tokenizer = Load();
  const std::vector<std::string> general = {"anomaly", "defect"};
  std::vector<std::string> words;
  for (int i = 0; i < 10; ++i) words.push_back(fmt::format("phrase number {}", i));
  const auto parts = SplitCaption(*tokenizer, general, words, 20);
  ASSERT_TRUE(parts.ok()) << parts.status();
  // 6 tokens of the general words, then at most three of four tokens each.
  ASSERT_EQ(parts->size(), 4u);
  EXPECT_EQ((*parts)[0].text, "anomaly . defect . phrase number 0 . phrase number 1 . phrase number 2.");
  EXPECT_EQ((*parts)[3].text, "anomaly . defect . phrase number 9.");
  for (const Caption& part : *parts) EXPECT_LE(part.ids.size(), 20u);
  EXPECT_FALSE(SplitCaption(*tokenizer, general, words, 8).ok());
  const auto none = SplitCaption(*tokenizer, general, {}, 20);
  ASSERT_TRUE(none.ok());
  EXPECT_EQ(none->at(0).text, "anomaly . defect.");
}

}  // namespace
}  // namespace filo::text
