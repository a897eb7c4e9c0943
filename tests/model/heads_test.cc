// Adapter, linear heads, MMCI, maps and scores: tensors in, tensors out, against the goldens of TINY.
#include <cmath>
#include <numbers>

#include "ATen/core/grad_mode.h"
#include "fmt/format.h"
#include "gtest/gtest.h"
#include "server/model/adapter.h"
#include "server/model/layers.h"
#include "server/model/linear_heads.h"
#include "server/model/maps.h"
#include "server/model/mmci.h"
#include "tests/model/tiny_model.h"
#include "tests/support/golden_tensors.h"

namespace filo::model {
namespace {

using bundle::Profile;
using support::GoldenTensors;
using support::MaxAbsDifference;
using support::RelativeRms;

constexpr double kTolerance = 1e-5;

bundle::Manifest TinyManifest(Profile profile) {
  return support::MakeManifest(support::Size::kTiny, profile);
}

MmciKernels TinyKernels(Profile profile) {
  WeightReader reader = TinyFilo(profile);
  return MmciKernels::Take(reader, TinyManifest(profile).heads, 48, 32);
}

// Golden stored token list `index`, class token dropped, as float: [patches, width].
at::Tensor Stored(const GoldenTensors& golden, int index) {
  return golden.Get(fmt::format("clip.stored.{}", index)).slice(0, 1).to(at::kFloat);
}

class HeadsGolden : public testing::TestWithParam<const char*> {
 protected:
  const at::InferenceMode guard_;
  const GoldenTensors golden_{fmt::format("tiny/{}.f64.safetensors", GetParam())};
  const GoldenTensors paper_{fmt::format("tiny/{}.paper.safetensors", GetParam())};
};
INSTANTIATE_TEST_SUITE_P(Images, HeadsGolden, testing::ValuesIn(support::kGoldenImages));

TEST_P(HeadsGolden, Adapter) {
  WeightReader reader = TinyFilo(Profile::kReleased);
  const Adapter adapter = Adapter::Take(reader, 32);
  const at::Tensor adapted = adapter(golden_.Get("clip.cls").to(at::kFloat));
  EXPECT_LT(golden_.RelativeRms("filo.adapter", adapted), kTolerance);
  EXPECT_LT(golden_.RelativeRms("filo.adapter_norm", L2Normalise(adapted)), kTolerance);
  EXPECT_LT(paper_.RelativeRms("paper.A", L2Normalise(adapted)), kTolerance);
}

TEST_P(HeadsGolden, ReleasedHeadsMapAndScore) {
  const bundle::Heads heads = TinyManifest(Profile::kReleased).heads;
  WeightReader reader = TinyFilo(Profile::kReleased);
  const LinearHeads linear = LinearHeads::Take(reader, heads.linear_heads, 48, 32);
  const std::vector<at::Tensor> linear_out =
      linear({Stored(golden_, 0), Stored(golden_, 2), Stored(golden_, 4), Stored(golden_, 6)});
  const at::Tensor last_vv = Stored(golden_, 1);
  const std::vector<at::Tensor> mmci_out =
      Convolve(FoldKernels(TinyKernels(Profile::kReleased)), {last_vv, last_vv, last_vv});
  ASSERT_EQ(linear_out.size(), 4);
  ASSERT_EQ(mmci_out.size(), 3);

  const at::Tensor rows = golden_.Get("text.rows").to(at::kFloat);
  std::vector<at::Tensor> logits;
  for (std::size_t i = 0; i < 4; ++i) {
    EXPECT_LT(golden_.RelativeRms(fmt::format("filo.linear.{}", i), linear_out[i]), kTolerance) << i;
    logits.push_back(CosineLogits(linear_out[i], rows, heads.logit_scale));
  }
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_LT(golden_.RelativeRms(fmt::format("filo.mmci.{}", i), mmci_out[i]), kTolerance) << i;
    logits.push_back(CosineLogits(mmci_out[i], rows, heads.logit_scale));
  }
  Trace trace;
  const at::Tensor map = ReleasedMap(at::stack(logits), 126, heads, &trace);
  for (const char* name : {"filo.logits_grid", "filo.maps_preblur", "filo.maps_blur", "filo.map_avg"}) {
    EXPECT_LT(golden_.RelativeRms(name, trace.tensors.at(name)), kTolerance) << name;
  }
  EXPECT_LT(MaxAbsDifference(map, golden_.Get("filo.map_avg")), 2e-5);

  const nlohmann::json json = support::GoldenJson(fmt::format("tiny/{}.f64.json", GetParam()));
  const at::Tensor adapted = golden_.Get("filo.adapter_norm").to(at::kFloat);
  const double global = ReleasedGlobalScore(adapted, rows);
  EXPECT_NEAR(global, json["text_probs"][1].get<double>(), 1e-6);
  EXPECT_NEAR((global + map.max().item<double>()) / 2, json["score"].get<double>(), 1e-5);
}

TEST_P(HeadsGolden, ConvolvingStagesTogetherOrAloneIsTheSame) {
  const FoldedKernels folded = FoldKernels(TinyKernels(Profile::kReleased));
  const at::Tensor x = Stored(golden_, 1);
  const std::vector<at::Tensor> together = Convolve(folded, {x, x, x});
  const std::vector<at::Tensor> alone = Convolve(folded, {x, x.clone(), x.clone()});
  for (std::size_t i = 0; i < 3; ++i) EXPECT_LT(RelativeRms(together[i], alone[i].to(at::kDouble)), 1e-6);
}

TEST_P(HeadsGolden, PaperKernelsMapAndScore) {
  const bundle::Heads heads = TinyManifest(Profile::kPaper).heads;
  const at::Tensor rows = paper_.Get("paper.rows").to(at::kFloat);
  const ProjectedKernels projected = ProjectKernels(TinyKernels(Profile::kPaper), rows);
  Trace trace;
  std::vector<at::Tensor> stages;
  for (int stage = 0; stage < 3; ++stage) {
    const at::Tensor patches =
        golden_.Get(fmt::format("clip.block{}.vv", heads.mmci_taps[static_cast<std::size_t>(stage)]));
    stages.push_back(StageMap(
        KernelLogits(projected.stages[static_cast<std::size_t>(stage)], patches.slice(0, 1).to(at::kFloat)),
        stage, &trace));
  }
  const at::Tensor map = PaperMap(stages, 126, heads, &trace);
  for (int stage = 0; stage < 3; ++stage) {
    for (const char* what : {"kernel_logits", "sum_softmax", "norm"}) {
      const std::string name = fmt::format("paper.stage{}.{}", stage, what);
      EXPECT_LT(paper_.RelativeRms(name, trace.tensors.at(name)), kTolerance) << name;
    }
  }
  EXPECT_LT(paper_.RelativeRms("paper.M_n", trace.tensors.at("paper.M_n")), kTolerance);
  EXPECT_LT(paper_.RelativeRms("paper.M_a", trace.tensors.at("paper.M_a")), kTolerance);
  EXPECT_LT(paper_.RelativeRms("paper.M_blur3", map), kTolerance);
  EXPECT_LT(MaxAbsDifference(map, paper_.Get("paper.M_blur3")), 2e-5);
  const double global = PaperGlobalScore(paper_.Get("paper.A").to(at::kFloat), rows);
  EXPECT_NEAR(global, paper_.Get("paper.probs")[1].item<double>(), 1e-6);
  EXPECT_NEAR(global + map.max().item<double>(), paper_.Get("paper.S_blur3")[0].item<double>(), 1e-5);
}

TEST(Mmci, ProjectingFirstEqualsConvolvingFirst) {
  const at::InferenceMode guard;
  const MmciKernels kernels = TinyKernels(Profile::kPaper);
  const at::Tensor rows = at::rand({3, 32}), patches = at::rand({81, 48});
  const ProjectedKernels projected = ProjectKernels(kernels, rows);
  EXPECT_EQ(projected.rows, 3);
  EXPECT_EQ(projected.bytes(), 3 * (94 * 48 * 3 + 6 * 3) * 4);
  const at::Tensor logits = KernelLogits(projected.stages[1], patches);
  const at::Tensor image = patches.t().reshape({1, 48, 9, 9});
  for (std::size_t k = 0; k < 6; ++k) {
    const MmciKernels::Kernel& kernel = kernels.stages[1][k];
    const at::Tensor convolved =
        at::conv2d(image, kernel.weight, kernel.bias, {1, 1}, "same")[0];  // [32, 9, 9]
    const at::Tensor expected = at::matmul(rows, convolved.flatten(1)).reshape({3, 9, 9});
    EXPECT_LT(RelativeRms(logits[static_cast<std::int64_t>(k)], expected.to(at::kDouble)), 1e-5) << k;
  }
}

TEST(Mmci, TrainsThroughTheProjection) {
  MmciKernels kernels = TinyKernels(Profile::kPaper);
  for (auto& stage : kernels.stages) {
    for (auto& kernel : stage) kernel.weight = kernel.weight.clone().requires_grad_(true);
  }
  const ProjectedKernels projected = ProjectKernels(kernels, at::rand({2, 32}));
  KernelLogits(projected.stages[2], at::rand({81, 48})).square().sum().backward();
  for (const auto& kernel : kernels.stages[2]) {
    ASSERT_TRUE(kernel.weight.grad().defined());
    EXPECT_GT(kernel.weight.grad().abs().sum().item<double>(), 0);
  }
}

TEST(Maps, PostOperatorsEqualTheGoldens) {
  const GoldenTensors golden("post/ops.safetensors");
  const at::Tensor blurred = GaussianBlur(golden.Get("blur.in").unsqueeze(0), 3, 4.0)[0];
  EXPECT_LT(MaxAbsDifference(blurred, golden.Get("blur.out")), 1e-6);
  EXPECT_LT(MaxAbsDifference(Upsample(golden.Get("up9.in"), 126), golden.Get("up9.out")), 1e-6);
  const at::Tensor rows = at::tensor({0, 100, 259, 517}, at::kLong);
  EXPECT_LT(MaxAbsDifference(Upsample(golden.Get("up37.in"), 518).index_select(1, rows),
                             golden.Get("up37.out_rows_0_100_259_517")),
            2e-6);
}

TEST(Maps, BlurKeepsConstantsAndReflectsWithoutTheEdge) {
  EXPECT_LT(MaxAbsDifference(GaussianBlur(at::full({1, 5, 7}, 0.3f), 3, 4.0), at::full({1, 5, 7}, 0.3f)),
            1e-6);
  const at::Tensor step =
      at::tensor({0.0f, 1.0f, 0.0f, 0.0f}).reshape({1, 1, 4}).expand({1, 4, 4}).contiguous();
  const double side = std::exp(-1.0 / 32) / (1 + 2 * std::exp(-1.0 / 32));
  EXPECT_NEAR(GaussianBlur(step, 3, 4.0)[0][1][0].item<double>(), 2 * side, 1e-6);
}

TEST(Maps, MinMaxIsPerChannelAndAConstantChannelIsZero) {
  const at::Tensor maps = at::stack({at::arange(9, at::kFloat).reshape({3, 3}), at::full({3, 3}, 4.0f)});
  const at::Tensor normed = MinMaxNormalise(maps);
  EXPECT_NEAR(normed[0][1][1].item<double>(), 0.5, 1e-7);
  EXPECT_TRUE(at::equal(normed[1], at::zeros({3, 3})));
}

TEST(Maps, RowsShareTheFrobeniusNorm) {
  const at::Tensor normal = L2Normalise(at::rand({8})), abnormal = L2Normalise(at::rand({8}));
  const at::Tensor rows = FrobeniusRows(normal, abnormal);
  EXPECT_NEAR(rows[0].norm().item<double>(), 1 / std::numbers::sqrt2, 1e-6);
  EXPECT_NEAR(rows[1].norm().item<double>(), 1 / std::numbers::sqrt2, 1e-6);
}

}  // namespace
}  // namespace filo::model
