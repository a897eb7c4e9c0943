// TINY end to end, from the image file's bytes to the answer, against the goldens.
#include "server/detection/pipeline.h"

#include <algorithm>
#include <thread>

#include "fmt/format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/base/status.h"
#include "tests/detection/tiny_pipeline.h"
#include "tests/support/golden_images.h"
#include "tests/support/golden_tensors.h"

namespace filo::detection {
namespace {

using bundle::Profile;
using support::GoldenImage;
using support::GoldenTensors;
using testing::HasSubstr;

constexpr double kScoreTolerance = 1e-5;
constexpr double kMapTolerance = 2e-5;
constexpr double kTensorTolerance = 1e-5;  // relative rms

const Pipeline& Released() {
  static const Pipeline& pipeline = *TinyPipeline(Profile::kReleased).release();
  return pipeline;
}
const Pipeline& Paper() {
  static const Pipeline& pipeline = *TinyPipeline(Profile::kPaper).release();
  return pipeline;
}

double LargestDifference(const Map& map, const at::Tensor& golden) {
  return support::MaxAbsDifference(at::tensor(map.values), golden);
}

// The golden box i in pixels of the original image, clipped to it.
Box GoldenBox(const nlohmann::json& json, std::size_t i, const image::Image& image) {
  const std::vector<double> b = json["kept_boxes_cxcywh"][i];
  const auto clip = [](double value, int limit) {
    return static_cast<float>(std::clamp(value * limit, 0.0, static_cast<double>(limit)));
  };
  const std::string raw = json["phrases_raw"][i];
  Box box{.x0 = clip(b[0] - b[2] / 2, image.width),
          .y0 = clip(b[1] - b[3] / 2, image.height),
          .x1 = clip(b[0] + b[2] / 2, image.width),
          .y1 = clip(b[1] + b[3] / 2, image.height),
          .confidence = std::stof(raw.substr(raw.rfind('(') + 1)),
          .phrase = raw.substr(0, raw.rfind('(')),
          .counts = json["counts"][i]};
  return box;
}

bool Same(const Box& a, const Box& golden) {
  constexpr float kPixels = 0.01f;
  return a.phrase == golden.phrase && a.counts == golden.counts &&
         // The golden prints the first four characters only.
         ScoreText(a.confidence) == fmt::format("{:.2f}", golden.confidence) &&
         std::abs(a.x0 - golden.x0) < kPixels && std::abs(a.y0 - golden.y0) < kPixels &&
         std::abs(a.x1 - golden.x1) < kPixels && std::abs(a.y1 - golden.y1) < kPixels;
}

void ExpectSameLocalisation(const Result& result, const nlohmann::json& json, const image::Image& image) {
  ASSERT_EQ(result.boxes.size(), json["phrases_raw"].size());
  for (std::size_t i = 0; i < result.boxes.size(); ++i) {
    const Box golden = GoldenBox(json, i, image);
    EXPECT_EQ(std::ranges::count_if(result.boxes, [&](const Box& box) { return Same(box, golden); }), 1)
        << i << " " << golden.phrase;
  }
  EXPECT_TRUE(std::ranges::is_sorted(result.boxes, std::greater<>(), &Box::confidence));
  ASSERT_TRUE(result.position_box.has_value());
  EXPECT_TRUE(Same(result.boxes[*result.position_box], GoldenBox(json, json["chosen"], image)));
  ASSERT_TRUE(result.position.has_value());
  const auto& positions = Released().networks().manifest().prompts.positions;
  EXPECT_EQ(positions[static_cast<std::size_t>(*result.position)], json["position"][0]);
}

class PipelineGolden : public testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Images, PipelineGolden, testing::ValuesIn(support::kGoldenImages));

TEST_P(PipelineGolden, ReleasedEqualsTheAuthorsCode) {
  const image::Image image = GoldenImage(GetParam());
  model::Trace trace;
  const auto result =
      Released().DetectTraced(image, Hazelnut(), nullptr, {.trace = &trace, .forced_topk = nullptr});
  ASSERT_TRUE(result.ok()) << result.status();

  const GoldenTensors golden(fmt::format("tiny/{}.f64.safetensors", GetParam()));
  std::vector<std::string> left_out;
  for (const std::string& name : golden.Names()) {
    if (!trace.tensors.contains(name)) {
      left_out.push_back(name);
      continue;
    }
    const at::Tensor actual = trace.tensors[name];
    // Prompts are cut behind their end token, which the reference computes and never reads.
    at::Tensor expected = golden.Get(name);
    if (name.starts_with("text.prompt0.")) expected = expected.slice(0, 0, actual.size(0));
    EXPECT_LT(support::RelativeRms(actual, expected), kTensorTolerance) << name;
  }
  // The text features of the positions that were not chosen are never computed; the boxes are compared below.
  EXPECT_THAT(left_out,
              testing::ElementsAre("gdino.kept_boxes", "text.F_a_all", "text.F_a_pos", "text.abnormal"));
  EXPECT_TRUE(at::equal(trace.tensors.at("gdino.topk_index").to(at::kInt), golden.Get("gdino.topk_index")));

  const nlohmann::json json = support::GoldenJson(fmt::format("tiny/{}.f64.json", GetParam()));
  EXPECT_NEAR(result->score, json["score"].get<double>(), kScoreTolerance);
  EXPECT_NEAR(result->global_score, json["text_probs"][1].get<double>(), kScoreTolerance);
  EXPECT_NEAR(result->map_max, json["map_max"].get<double>(), kScoreTolerance);
  EXPECT_LT(LargestDifference(result->map, golden.Get("filo.map_final")), kMapTolerance);
  ExpectSameLocalisation(*result, json, image);
}

TEST_P(PipelineGolden, PaperEqualsTheFormulas) {
  const image::Image image = GoldenImage(GetParam());
  model::Trace trace;
  const auto result =
      Paper().DetectTraced(image, Hazelnut(), nullptr, {.trace = &trace, .forced_topk = nullptr});
  ASSERT_TRUE(result.ok()) << result.status();
  const GoldenTensors golden(fmt::format("tiny/{}.paper.safetensors", GetParam()));
  for (const auto& [name, tensor] : trace.tensors) {
    if (!golden.Has(name)) continue;
    EXPECT_LT(golden.RelativeRms(name, tensor), kTensorTolerance) << name;
  }
  EXPECT_LT(golden.RelativeRms("paper.rows", trace.tensors.at("text.rows")), kTensorTolerance);
  EXPECT_NEAR(result->score, golden.Get("paper.S_blur3")[0].item<double>(), kScoreTolerance);
  EXPECT_NEAR(result->global_score, golden.Get("paper.probs")[1].item<double>(), kScoreTolerance);
  EXPECT_LT(LargestDifference(result->map, golden.Get("paper.M_blur3")), kMapTolerance);
  ExpectSameLocalisation(*result, support::GoldenJson(fmt::format("tiny/{}.f64.json", GetParam())), image);
}

TEST(Pipeline, PaperDirectionsOfEveryPositionEqualTheFormulas) {
  const at::InferenceMode guard;
  const auto features = MakeCategoryFeatures(Paper().networks(), Hazelnut());
  ASSERT_TRUE(features.ok()) << features.status();
  const GoldenTensors golden("tiny/good04.paper.safetensors");
  EXPECT_LT(golden.RelativeRms("paper.F_n", features->normal), kTensorTolerance);
  EXPECT_LT(golden.RelativeRms("paper.F_a_pos", features->abnormal.slice(0, 0, 9)), kTensorTolerance);
  EXPECT_LT(golden.RelativeRms("paper.F_a_all", features->abnormal[9]), kTensorTolerance);
  EXPECT_GT(features->bytes(), 11 * 32 * 4);
}

TEST(Pipeline, MapPixelsSayWhereTheyLieInTheImage) {
  const image::Image image = GoldenImage("synth");  // 640 x 427
  const auto result = Released().Detect(image, Hazelnut(), nullptr);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->map.width, 126);
  EXPECT_EQ(result->map.height, 126);
  EXPECT_DOUBLE_EQ(result->map.scale_x, 640.0 / 126);
  EXPECT_DOUBLE_EQ(result->map.scale_y, 427.0 / 126);
  EXPECT_GT(result->times.total, 0);
  EXPECT_LE(result->times.image_tower + result->times.grounding, result->times.total);
}

TEST(Pipeline, IsAskedBeforeEveryStageAndStopsWhenTold) {
  const image::Image image = GoldenImage("good04");
  constexpr int kStages = 7;
  for (int allowed = 0; allowed <= kStages; ++allowed) {
    int asked = 0;
    const auto keep_going = [&] {
      return asked++ < allowed ? absl::OkStatus() : absl::DeadlineExceededError("too late");
    };
    const auto result = Released().Detect(image, Hazelnut(), keep_going);
    EXPECT_EQ(asked, std::min(allowed + 1, kStages));
    EXPECT_EQ(result.status(),
              allowed == kStages ? absl::OkStatus() : absl::DeadlineExceededError("too late"));
  }
}

TEST(Pipeline, ThreadsAndCachesDoNotChangeABit) {
  const image::Image good = GoldenImage("good04"), synth = GoldenImage("synth");
  const auto alone = Paper().Detect(good, Hazelnut(), nullptr);
  Options uncached;
  uncached.category_cache_bytes = 0;
  const auto without_cache = TinyPipeline(Profile::kPaper, uncached)->Detect(good, Hazelnut(), nullptr);
  ASSERT_TRUE(alone.ok() && without_cache.ok());
  EXPECT_EQ(alone->map.values, without_cache->map.values);
  EXPECT_EQ(alone->score, without_cache->score);

  std::thread other([&] { EXPECT_TRUE(Paper().Detect(synth, Hazelnut(), nullptr).ok()); });
  const auto in_company = Paper().Detect(good, Hazelnut(), nullptr);
  other.join();
  ASSERT_TRUE(in_company.ok());
  EXPECT_EQ(alone->map.values, in_company->map.values);
  EXPECT_EQ(alone->score, in_company->score);
}

TEST(Pipeline, CategoriesDoNotMix) {
  const image::Image image = GoldenImage("good04");
  category::Category pill = Hazelnut();
  pill.class_name = "pill";
  const auto before = Paper().Detect(image, Hazelnut(), nullptr);
  const auto other = Paper().Detect(image, pill, nullptr);
  const auto after = Paper().Detect(image, Hazelnut(), nullptr);
  ASSERT_TRUE(before.ok() && other.ok() && after.ok());
  EXPECT_NE(before->map.values, other->map.values);
  EXPECT_EQ(before->map.values, after->map.values);
}

TEST(FeatureKey, TellsApartWhatReadsAlike) {
  category::Category a, b;
  a.class_name = b.class_name = "nut";
  a.descriptions = {"bent", "cut"};
  b.descriptions = {"bentcut"};
  EXPECT_NE(FeatureKey(a), FeatureKey(b));
  b.descriptions = a.descriptions;
  b.name = "another id";  // only names the resource
  EXPECT_EQ(FeatureKey(a), FeatureKey(b));
  b.normal_states = {"x"};
  a.abnormal_states = {"x"};
  EXPECT_NE(FeatureKey(a), FeatureKey(b));
}

TEST(Pipeline, BadCategoriesAreRefusedByField) {
  category::Category nameless = Hazelnut();
  nameless.class_name = "";
  category::Category wordy = Hazelnut();
  for (int i = 0; i < 300; ++i) wordy.grounding_descriptions.push_back("another defect");
  category::Category endless = Hazelnut();
  for (int i = 0; i < 80; ++i) endless.class_name += " nut";
  const std::pair<category::Category, std::string> cases[] = {
      {nameless, "category.class_name"}, {wordy, "category.descriptions"}, {endless, "category"}};
  for (const auto& [category, field] : cases) {
    for (const absl::Status& status :
         {Released().Prepare(category),
          Released().Detect(GoldenImage("good04"), category, nullptr).status()}) {
      EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << field;
      ASSERT_TRUE(GetFieldViolation(status).has_value()) << status;
      EXPECT_EQ(GetFieldViolation(status)->field, field);
    }
  }
  EXPECT_TRUE(Released().Prepare(Hazelnut()).ok());
}

}  // namespace
}  // namespace filo::detection
