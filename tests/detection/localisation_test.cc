#include "server/detection/localisation.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <fstream>
#include <limits>

#include "fmt/format.h"
#include "nlohmann/json.hpp"
#include "server/base/sha256.h"
#include "server/bundle/tensor_file.h"
#include "tests/support/recipe.h"
#include "tests/text/golden_lines.h"

namespace filo::detection {
namespace {

using Json = nlohmann::json;

const text::BertTokenizer& Tokenizer() {
  static const auto* const tokenizer = [] {
    auto loaded = text::BertTokenizer::Load(FILO_TEST_DATA "/vocab/bert_base_uncased_vocab.txt");
    EXPECT_TRUE(loaded.ok()) << loaded.status();
    return loaded->release();
  }();
  return *tokenizer;
}

LocalisationOptions Options(bundle::Profile profile) {
  return {.profile = profile,
          .box_threshold = 0.25f,
          .text_threshold = 0.25f,
          .max_box_area = 0.7f,
          .position_extent = 518};
}

// In single precision step by step, as LibTorch's kernel does it: the printed scores sit on the last bit.
float Sigmoid(float logit) {
  const auto e = static_cast<float>(std::exp(-static_cast<double>(logit)));
  return 1.0f / (1.0f + e);
}

constexpr const char* kPositions[] = {"top left", "top",         "top right", "left",        "center",
                                      "right",    "bottom left", "bottom",    "bottom right"};

std::vector<std::string> PositionWords(const Localisation& found) {
  if (!found.position.has_value()) return {};
  return {kPositions[*found.position]};
}

// The words behind a caption, with the capitals that the published lists have.
std::vector<std::string> WordsOf(std::string caption) {
  caption.pop_back();
  std::vector<std::string> words;
  for (std::size_t from = 0; from <= caption.size();) {
    const std::size_t to = std::min(caption.find(" . ", from), caption.size());
    words.push_back(caption.substr(from, to - from));
    from = to + 3;
  }
  for (std::string& word : words) {
    if (word.starts_with("wax pooling") || word == "uneven coating" || word == "unusual consistency") {
      word[0] = static_cast<char>(word[0] - 32);
    }
  }
  return words;
}

// Probabilities and boxes in the form the network gives them.
struct Owned {
  std::vector<float> probabilities, boxes;
  Queries view() const { return {probabilities, 256, boxes}; }
};

Owned QueriesOf(const Json& line) {
  Owned out;
  for (const Json& query : line["queries"]) {
    std::vector<float> row(256, 0.f);
    std::fill_n(row.begin(), line["n_tokens"].get<std::size_t>(),
                Sigmoid(line["background_logit"].get<float>()));
    for (std::size_t i = 0; i < query["index"].size(); ++i)
      row[query["index"][i]] = Sigmoid(query["logit"][i].get<float>());
    // The reference's vectorised exponential was one bit off here, across the edge of "0.43".
    if (line["name"] == "many_overlap" && out.boxes.size() == 13 * 4) {
      row[query["index"][0]] = std::nextafter(row[query["index"][0]], 1.f);
    }
    out.probabilities.insert(out.probabilities.end(), row.begin(), row.end());
    for (const double v : query["box"]) out.boxes.push_back(static_cast<float>(v));
  }
  return out;
}

std::string Digest(const void* data, std::size_t bytes) {
  return Sha256Hex(std::span(static_cast<const std::byte*>(data), bytes));
}

std::vector<std::vector<float>> Rows(const std::vector<KeptBox>& boxes) {
  std::vector<std::vector<float>> rows;
  for (const KeptBox& box : boxes) rows.emplace_back(box.box.begin(), box.box.end());
  return rows;
}

// Python's rectangles before the slice, for the comparison with rects_int only.
std::vector<unsigned char> Cover(const std::vector<PixelBox>& boxes, int size) {
  std::vector<unsigned char> cover(static_cast<std::size_t>(size * size), 0);
  for (const PixelBox& box : boxes) {
    for (int y = box.y0; y < box.y1; ++y) {
      for (int x = box.x0; x < box.x1; ++x) cover[static_cast<std::size_t>(y * size + x)] = 1;
    }
  }
  return cover;
}

TEST(LocalisationTest, EqualsTheReleasedCodeOnEveryGoldenCase) {
  support::RecipeEntry recipe;
  recipe.shape = {518, 518};
  recipe.offset = recipe.scale = 0.5f;
  recipe.hash_name = "postmap";
  const std::vector<float> plain = support::Generate(recipe);
  std::vector<float> with_ones = plain;
  with_ones[5 * 518 + 7] = with_ones[400 * 518 + 400] = 1;
  const auto lines = GoldenLines("post/box_step.jsonl");
  EXPECT_EQ(lines.size(), 30u);
  for (const Json& line : lines) {
    SCOPED_TRACE(line["name"].get<std::string>());
    const std::string caption_text = line["caption"];
    const text::Caption caption = text::MakeCaption(Tokenizer(), caption_text);
    const std::vector<std::string> words = WordsOf(caption_text);
    const Owned queries = QueriesOf(line);
    const Localisation found =
        Localise(Options(bundle::Profile::kReleased), Tokenizer(), caption, words, queries.view());
    EXPECT_EQ(Rows(found.boxes), line["kept_boxes"].get<std::vector<std::vector<float>>>());
    std::vector<std::string> phrases;
    std::vector<bool> counts;
    for (const KeptBox& box : found.boxes) {
      phrases.push_back(fmt::format("{}({})", box.phrase, ScoreText(box.confidence)));
      counts.push_back(box.counts);
    }
    EXPECT_EQ(phrases, line["phrases"].get<std::vector<std::string>>());
    EXPECT_EQ(counts, line["counts"].get<std::vector<bool>>());
    EXPECT_EQ(found.position_box.has_value() ? static_cast<int>(*found.position_box) : -1,
              line["chosen"].get<int>());
    EXPECT_EQ(found.centre[0], line["center"][0].get<float>());
    EXPECT_EQ(found.centre[1], line["center"][1].get<float>());
    EXPECT_EQ(PositionWords(found), line["position"].get<std::vector<std::string>>());

    const std::vector<PixelBox> boxes = ProtectedPixels(found, 518, 518);
    std::vector<float> map = line["map"] == "postmap" ? plain : with_ones;
    std::vector<unsigned char> cover = Cover(boxes, 518);
    for (std::size_t i = 0; i < map.size(); ++i) cover[i] |= static_cast<unsigned char>(map[i] == 1.0f);
    EXPECT_EQ(std::count(cover.begin(), cover.end(), 1), line["cover_count"].get<std::ptrdiff_t>());
    EXPECT_EQ(Digest(cover.data(), cover.size()), line["cover_sha256"].get<std::string>());
    DampOutside(boxes, 518, 518, 0.7f, map);
    EXPECT_EQ(Digest(map.data(), map.size() * sizeof(float)), line["final_sha256_f32"].get<std::string>());
  }
}

std::vector<double> Doubles(const bundle::TensorView& tensor) {
  std::vector<double> out(static_cast<std::size_t>(tensor.elements()));
  for (std::size_t i = 0; i < out.size(); ++i) {
    if (tensor.dtype == bundle::DType::kF64) {
      std::memcpy(&out[i], tensor.bytes.data() + i * 8, 8);
    } else {
      float value = 0;
      std::memcpy(&value, tensor.bytes.data() + i * 4, 4);
      out[i] = value;
    }
  }
  return out;
}

// Real network outputs: what TINY said about the three images.
TEST(LocalisationTest, EqualsTheReleasedRunsOfTiny) {
  for (const std::string name : {"good04", "colour00", "synth"}) {
    SCOPED_TRACE(name);
    std::ifstream in(fmt::format("{}/tiny/{}.f64.json", FILO_GOLDENS, name));
    const Json golden = Json::parse(in);
    const auto file = bundle::TensorFile::Open(fmt::format("{}/tiny/{}.f64.safetensors", FILO_GOLDENS, name));
    ASSERT_TRUE(file.ok()) << file.status();
    Owned queries;
    for (const double logit : Doubles((*file)->tensors().at("gdino.pred.0")))
      queries.probabilities.push_back(Sigmoid(static_cast<float>(logit)));
    for (const double v : Doubles((*file)->tensors().at("gdino.pred.1")))
      queries.boxes.push_back(static_cast<float>(v));
    const std::string caption_text = golden["caption"];
    const text::Caption caption = text::MakeCaption(Tokenizer(), caption_text);
    const std::vector<std::string> words = WordsOf(caption_text);
    const Localisation found =
        Localise(Options(bundle::Profile::kReleased), Tokenizer(), caption, words, queries.view());
    ASSERT_EQ(found.boxes.size(), golden["n_kept"].get<std::size_t>());
    for (std::size_t i = 0; i < found.boxes.size(); ++i) {
      const KeptBox& box = found.boxes[i];
      EXPECT_EQ(fmt::format("{}({})", box.phrase, ScoreText(box.confidence)),
                golden["phrases_raw"][i].get<std::string>());
      EXPECT_EQ(box.counts, golden["counts"][i].get<bool>());
      for (std::size_t k = 0; k < 4; ++k) {
        EXPECT_NEAR(box.box[k], golden["kept_boxes_cxcywh"][i][k].get<double>(), 1e-6);
      }
    }
    EXPECT_EQ(PositionWords(found), golden["position"].get<std::vector<std::string>>());
    EXPECT_NEAR(found.centre[0], golden["center518"][0].get<double>(), 1e-3);
    // boxes_int are the bounds before Python slices with them.
    const std::vector<PixelBox> boxes = ProtectedPixels(found, 126, 126);
    const auto bound = [](int value) { return std::clamp(value < 0 ? value + 126 : value, 0, 126); };
    for (std::size_t i = 0; i < boxes.size(); ++i) {
      const auto wanted = golden["boxes_int"][i].get<std::vector<int>>();
      const PixelBox& box = boxes[i];
      EXPECT_EQ((std::vector<int>{box.x0, box.y0, box.x1, box.y1}),
                (std::vector<int>{bound(wanted[0]), bound(wanted[1]), bound(wanted[2]), bound(wanted[3])}));
    }
  }
}

TEST(ScoreTextTest, IsTheBeginningOfPythonsRepr) {
  EXPECT_EQ(ScoreText(1.0f), "1.0");
  EXPECT_EQ(ScoreText(0.5f), "0.5");
  EXPECT_EQ(ScoreText(0.6f), "0.60");  // 0.6000000238418579
  EXPECT_EQ(ScoreText(std::nextafter(0.6f, 0.f)), "0.59");
  EXPECT_EQ(ScoreText(0.25f), "0.25");
  EXPECT_EQ(ScoreText(0.0f), "0.0");
  EXPECT_EQ(ScoreText(1e-5f), "9.99");  // repr gives 9.999999747378752e-06: the released code then reads 9.99
}

// ---- `paper` -------------------------------------------------------------------------------------

struct Asked {
  std::vector<std::string> words;
  text::Caption caption;
};

Asked Ask(std::vector<std::string> words) {
  text::Caption caption = text::MakeCaption(Tokenizer(), text::CaptionText(words));
  return {std::move(words), std::move(caption)};
}

void AddQuery(Owned& queries, std::vector<std::size_t> tokens, float probability, std::array<float, 4> box) {
  std::vector<float> row(256, 0.01f);
  for (const std::size_t token : tokens) row[token] = probability;
  queries.probabilities.insert(queries.probabilities.end(), row.begin(), row.end());
  queries.boxes.insert(queries.boxes.end(), box.begin(), box.end());
}

TEST(LocalisationPaperTest, TheMostConfidentCountingBoxNamesTheCell) {
  const Asked asked =
      Ask({"anomaly", "Bent wire", "mis-shaped"});  // [CLS] anomaly . bent wire . mis - shaped . [SEP]
  Owned queries;
  AddQuery(queries, {3}, 0.9f, {0.9f, 0.9f, 0.1f, 0.1f});          // "bent" alone is no word
  AddQuery(queries, {3, 4}, 0.501f, {0.1f, 0.5f, 0.1f, 0.1f});     // capitals do not matter here
  AddQuery(queries, {6, 7, 8}, 0.502f, {0.9f, 0.1f, 0.1f, 0.1f});  // nor does how the tokenizer spells it
  const Localisation found =
      Localise(Options(bundle::Profile::kPaper), Tokenizer(), asked.caption, asked.words, queries.view());
  ASSERT_EQ(found.boxes.size(), 3u);
  EXPECT_FALSE(found.boxes[0].counts);
  EXPECT_TRUE(found.boxes[1].counts);
  EXPECT_TRUE(found.boxes[2].counts) << found.boxes[2].phrase;
  EXPECT_EQ(found.position_box, 2u);  // released would tie at 0.50 and take the last
  EXPECT_EQ(found.position, 2);       // top right
}

TEST(LocalisationPaperTest, EveryCentreHasACell) {
  const Asked asked = Ask({"anomaly"});
  for (const auto& [x, y, cell] : std::vector<std::tuple<float, float, int>>{
           {0.332f, 0.334f, 3}, {0.334f, 0.332f, 1}, {1.f, 1.f, 8}, {-0.2f, 1.4f, 6}, {0.5f, 0.5f, 4}}) {
    Owned queries;
    AddQuery(queries, {1}, 0.9f, {x, y, 0.1f, 0.1f});
    const auto found =
        Localise(Options(bundle::Profile::kPaper), Tokenizer(), asked.caption, asked.words, queries.view());
    EXPECT_EQ(found.position, cell) << x << " " << y;
  }
}

TEST(LocalisationPaperTest, NothingThatCountsGivesTheMiddle) {
  const Asked asked = Ask({"anomaly"});
  Owned queries;
  AddQuery(queries, {}, 0, {0.9f, 0.9f, 0.1f, 0.1f});
  const auto found =
      Localise(Options(bundle::Profile::kPaper), Tokenizer(), asked.caption, asked.words, queries.view());
  EXPECT_EQ(found.boxes.size(), 1u);  // the single best one, whatever it says
  EXPECT_EQ(found.position_box, std::nullopt);
  EXPECT_EQ(found.position, 4);
}

TEST(LocalisationTest, HarmlessPhrasesDoNotCountButLeaveTheRest) {
  const std::vector<std::string> words = {"mark", "scratch"}, harmless = {"Date mark"};
  std::vector<std::string> all = words;
  all.insert(all.end(), harmless.begin(), harmless.end());
  const Asked asked = Ask(all);  // [CLS] mark . scratch . date mark . [SEP]
  for (const auto profile : {bundle::Profile::kPaper, bundle::Profile::kReleased}) {
    Owned queries;
    AddQuery(queries, {5, 6}, 0.9f, {0.9f, 0.9f, 0.1f, 0.1f});
    AddQuery(queries, {3, 5, 6}, 0.6f, {0.1f, 0.1f, 0.1f, 0.1f});
    AddQuery(queries, {1}, 0.5f, {0.5f, 0.5f, 0.1f, 0.1f});
    const auto found =
        Localise(Options(profile), Tokenizer(), asked.caption, words, queries.view(), harmless);
    ASSERT_EQ(found.boxes.size(), 3u);
    EXPECT_EQ(found.boxes[0].phrase, "date mark");
    EXPECT_FALSE(found.boxes[0].counts);
    EXPECT_TRUE(found.boxes[1].counts) << found.boxes[1].phrase;
    EXPECT_TRUE(found.boxes[2].counts);
    EXPECT_EQ(found.position_box, 1u);
  }
}

// ---- Any input -----------------------------------------------------------------------------------

TEST(LocalisationTest, NoQueriesAndNoNumbersAreSurvived) {
  const Asked asked = Ask({"anomaly"});
  for (const auto profile : {bundle::Profile::kPaper, bundle::Profile::kReleased}) {
    const auto none = Localise(Options(profile), Tokenizer(), asked.caption, asked.words, Queries{});
    EXPECT_TRUE(none.boxes.empty());
    EXPECT_EQ(none.position, 4);
    const float nan = std::numeric_limits<float>::quiet_NaN(), inf = std::numeric_limits<float>::infinity();
    Owned queries;
    AddQuery(queries, {1}, 0.9f, {nan, inf, -inf, 1e30f});
    AddQuery(queries, {1}, nan, {nan, nan, nan, nan});
    const auto found = Localise(Options(profile), Tokenizer(), asked.caption, asked.words, queries.view());
    std::vector<float> map(64, 0.5f);
    const auto boxes = ProtectedPixels(found, 8, 8);
    for (const PixelBox& box : boxes) {
      EXPECT_GE(box.x0, 0);
      EXPECT_LE(box.x1, 8);
    }
    DampOutside(boxes, 8, 8, 0.7f, map);
    EXPECT_EQ(ToImage(found, 100, 50).boxes.size(), found.boxes.size());
  }
}

TEST(ToImageTest, BestFirstInPixelsOfTheOriginal) {
  const Asked asked = Ask({"anomaly", "hole"});
  Owned queries;
  AddQuery(queries, {1}, 0.4f, {0.5f, 0.5f, 0.5f, 0.5f});
  AddQuery(queries, {3}, 0.8f, {1.0f, 0.0f, 0.5f, 0.5f});
  const auto found =
      Localise(Options(bundle::Profile::kReleased), Tokenizer(), asked.caption, asked.words, queries.view());
  const ImageBoxes boxes = ToImage(found, 200, 100);
  ASSERT_EQ(boxes.boxes.size(), 2u);
  EXPECT_EQ(boxes.boxes[0].phrase, "hole");
  EXPECT_EQ(boxes.position_box, 0u);
  EXPECT_FLOAT_EQ(boxes.boxes[0].x0, 150);
  EXPECT_FLOAT_EQ(boxes.boxes[0].x1, 200);  // clipped
  EXPECT_FLOAT_EQ(boxes.boxes[0].y0, 0);
  EXPECT_FLOAT_EQ(boxes.boxes[0].y1, 25);
  EXPECT_FLOAT_EQ(boxes.boxes[1].x0, 50);
  EXPECT_FLOAT_EQ(boxes.boxes[1].y1, 75);
}

}  // namespace
}  // namespace filo::detection
