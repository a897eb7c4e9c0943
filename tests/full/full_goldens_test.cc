// The real sizes (ViT-L/14 at 518 px, Swin-T Grounding DINO) with the recipe's weights, from the image file's
// bytes to the answer, against what the authors' code gave in float32. Result of the last run:
// docs/goldens.md.
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <map>

#include "fmt/format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/bundle/bundle.h"
#include "server/detection/pipeline.h"
#include "server/model/maps.h"
#include "tests/support/golden_bundle.h"
#include "tests/support/golden_images.h"
#include "tests/support/golden_tensors.h"
#include "tests/support/hazelnut.h"

namespace filo::detection {
namespace {

namespace fs = std::filesystem;
using bundle::Profile;
using support::GoldenTensors;
using support::Hazelnut;

constexpr double kTensorTolerance = 1e-4;  // relative rms
constexpr double kScoreTolerance = 1e-5;
constexpr double kMapTolerance = 2e-5;

// Made once in the build tree; checks every tensor against tests/goldens/recipe/full_sha256.tsv while writing
// it.
std::string FullBundle() {
  const std::string path = FILO_TEST_CACHE "/golden-full-released";
  if (fs::exists(path)) return path;
  const std::string aside = fmt::format("{}.{}", path, ::getpid());
  fs::create_directories(aside);
  const absl::Status written =
      support::WriteGoldenBundle(support::Size::kFull, Profile::kReleased, aside, nullptr);
  EXPECT_TRUE(written.ok()) << written;
  fs::rename(aside, path);
  return path;
}

const Pipeline& Full() {
  static const Pipeline& pipeline = []() -> const Pipeline& {
    auto bundle = bundle::Bundle::Open(FullBundle(), {.check_digests = false});
    EXPECT_TRUE(bundle.ok()) << bundle.status();
    auto networks = Networks::Load(*bundle, at::kCPU, at::kFloat);
    EXPECT_TRUE(networks.ok()) << networks.status();
    return *new Pipeline(*std::move(networks), Options{});
  }();
  return pipeline;
}

// The features of all 126 abnormal prompts, which a detection never needs at once.
void RecordEveryPosition(model::Trace& trace) {
  const at::InferenceMode guard;
  const Networks& n = Full().networks();
  const auto features = MakeCategoryFeatures(n, Hazelnut());
  ASSERT_TRUE(features.ok()) << features.status();
  const at::Tensor shift = n.abnormal_prompts.Shift(trace.tensors.at("filo.adapter_norm"));
  std::vector<at::Tensor> by_position, directions;
  for (const PromptIds& prompts : features->abnormal_prompts) {
    const at::Tensor embeddings = n.abnormal_prompts.Insert(n.text_tower->Embed(prompts.ids), shift);
    by_position.push_back(n.text_tower->Encode(embeddings, prompts.lengths, nullptr));
    directions.push_back(model::MeanDirection(by_position.back()));
  }
  const at::Tensor all = at::stack(by_position, 1).flatten(0, 1);  // index = state * 9 + position
  trace.tensors["text.abnormal"] = all;
  trace.tensors["text.F_a_pos"] = at::stack(directions);
  trace.tensors["text.F_a_all"] = model::MeanDirection(all);
}

// Prompts are cut behind their end token: of golden `name` only those rows are compared.
double PromptDeviation(const GoldenTensors& golden, const std::string& name, const at::Tensor& actual) {
  const at::Tensor samples = golden.Get(name + "@samples"), shape = golden.Get(name + "@shape").to(at::kLong);
  const std::int64_t count = samples.numel(), all = shape.prod().item<std::int64_t>();
  const at::Tensor where = at::floor_divide(at::arange(count, at::kLong) * all, count);
  const at::Tensor kept = where < actual.numel();
  return support::RelativeRms(actual.reshape({-1}).index_select(0, where.masked_select(kept)),
                              samples.masked_select(kept));
}

class FullGolden : public testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Images, FullGolden, testing::ValuesIn(support::kGoldenImages));

TEST_P(FullGolden, EqualsTheAuthorsCode) {
  const GoldenTensors golden(fmt::format("full/{}.f32.safetensors", GetParam()));
  const at::Tensor order = golden.Get("gdino.topk_index").to(at::kLong);
  const std::vector<std::int64_t> topk(order.const_data_ptr<std::int64_t>(),
                                       order.const_data_ptr<std::int64_t>() + order.numel());
  model::Trace trace;
  const auto result = Full().DetectTraced(support::GoldenImage(GetParam()), Hazelnut(), nullptr,
                                          {.trace = &trace, .forced_topk = &topk});
  ASSERT_TRUE(result.ok()) << result.status();
  RecordEveryPosition(trace);

  std::vector<std::string> left_out;
  std::multimap<double, std::string, std::greater<>> deviations;
  for (const std::string& name : golden.Names()) {
    if (!trace.tensors.contains(name)) {
      left_out.push_back(name);
      continue;
    }
    const at::Tensor& actual = trace.tensors.at(name);
    const double deviation = name.starts_with("text.prompt0.") ? PromptDeviation(golden, name, actual)
                                                               : golden.RelativeRms(name, actual);
    EXPECT_LT(deviation, kTensorTolerance) << name;
    deviations.emplace(deviation, name);
  }
  fmt::print("{}: {} tensors compared, left out: {}\n", GetParam(), deviations.size(),
             testing::PrintToString(left_out));
  int shown = 0;
  for (const auto& [deviation, name] : deviations) {
    if (++shown <= 5) fmt::print("  {:.2e} {}\n", deviation, name);
  }

  const nlohmann::json json = support::GoldenJson(fmt::format("full/{}.f32.json", GetParam()));
  const double map_difference =
      support::MaxAbsDifference(trace.tensors.at("filo.map_avg"), golden.Get("filo.map_avg"));
  fmt::print("  score {:.7f} ({:+.1e}), map within {:.1e}, {} boxes, {:.1f} s\n", result->score,
             result->score - json["score"].get<double>(), map_difference, result->boxes.size(),
             result->times.total);
  EXPECT_NEAR(result->score, json["score"].get<double>(), kScoreTolerance);
  EXPECT_NEAR(result->map_max, json["map_max"].get<double>(), kScoreTolerance);
  EXPECT_LT(map_difference, kMapTolerance);
  EXPECT_EQ(result->boxes.size(), json["phrases_raw"].size());
  const auto counting = std::ranges::count_if(result->boxes, &Box::counts);
  EXPECT_EQ(counting, std::ranges::count(json["counts"].get<std::vector<bool>>(), true));
  ASSERT_EQ(result->position.has_value(), !json["position"].empty());
  if (result->position) {
    const auto& positions = Full().networks().manifest().prompts.positions;
    EXPECT_EQ(positions[static_cast<std::size_t>(*result->position)], json["position"][0]);
  }
}

}  // namespace
}  // namespace filo::detection
