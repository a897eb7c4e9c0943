#include "server/model/vision_transformer.h"

#include "ATen/core/grad_mode.h"
#include "fmt/format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/model/tiny_model.h"
#include "tests/support/golden_tensors.h"

namespace filo::model {
namespace {

using bundle::Profile;
using support::GoldenTensors;

constexpr double kTolerance = 1e-5;  // relative rms against the float64 run

VisionTransformer TinyTower(Profile profile) {
  WeightReader reader = TinyClip(profile);
  return VisionTransformer(reader, support::MakeManifest(support::Size::kTiny, profile).image_tower,
                           {.keep_attended = profile == Profile::kReleased, .extra_blocks = {3, 12}});
}

class VisionTransformerGolden : public testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Images, VisionTransformerGolden, testing::ValuesIn(support::kGoldenImages));

TEST_P(VisionTransformerGolden, EveryStageEqualsTheAuthorsCode) {
  const at::InferenceMode guard;
  const bundle::ImageTower tower =
      support::MakeManifest(support::Size::kTiny, Profile::kReleased).image_tower;
  Trace trace;
  const ImageFeatures features =
      TinyTower(Profile::kReleased).Forward(TinyClipInput(GetParam(), tower), &trace);
  const std::vector<at::Tensor> stored = StoredTokens(features);
  ASSERT_EQ(stored.size(), 7);
  for (std::size_t i = 0; i < stored.size(); ++i)
    Record(&trace, fmt::format("clip.stored.{}", i), stored[i][0]);

  const GoldenTensors golden(fmt::format("tiny/{}.f64.safetensors", GetParam()));
  int compared = 0;
  for (const std::string& name : golden.Names()) {
    if (!name.starts_with("clip.")) continue;
    ASSERT_TRUE(trace.tensors.contains(name)) << name;
    EXPECT_LT(golden.RelativeRms(name, trace.tensors[name]), kTolerance) << name;
    ++compared;
  }
  EXPECT_EQ(compared, 22);
}

TEST(VisionTransformer, AnImageDoesNotDependOnItsBatch) {
  const at::InferenceMode guard;
  const bundle::ImageTower tower =
      support::MakeManifest(support::Size::kTiny, Profile::kReleased).image_tower;
  const VisionTransformer network = TinyTower(Profile::kReleased);
  const at::Tensor a = TinyClipInput("good04", tower), b = TinyClipInput("synth", tower);
  const ImageFeatures both = network.Forward(at::cat({a, b}), nullptr);
  const ImageFeatures alone = network.Forward(b, nullptr);
  EXPECT_LT(support::RelativeRms(both.global[1], alone.global[0]), 1e-6);
  EXPECT_LT(support::RelativeRms(both.last_vv[1], alone.last_vv[0]), 1e-6);
}

TEST(VisionTransformer, SnapshotsAreTheVvStreamWithoutTheClassToken) {
  const at::InferenceMode guard;
  const bundle::ImageTower tower = support::MakeManifest(support::Size::kTiny, Profile::kPaper).image_tower;
  const ImageFeatures features = TinyTower(Profile::kPaper).Forward(TinyClipInput("good04", tower), nullptr);
  const GoldenTensors golden("tiny/good04.f64.safetensors");
  const std::vector<at::Tensor> patches = PatchSnapshots(features, {12, 18, 24});
  for (int stage = 0; stage < 3; ++stage) {
    const at::Tensor expected = golden.Get(fmt::format("clip.block{}.vv", 12 + 6 * stage)).slice(0, 1);
    EXPECT_LT(support::RelativeRms(patches[static_cast<std::size_t>(stage)][0], expected), 2e-5) << stage;
  }
  EXPECT_FALSE(
      features.taps.front().ordinary_attended.defined());  // `paper` does not keep what it does not read
}

TEST(VisionTransformer, FurtherBlocksCanBeTapped) {
  const at::InferenceMode guard;
  const bundle::ImageTower tower =
      support::MakeManifest(support::Size::kTiny, Profile::kReleased).image_tower;
  Trace trace;
  const ImageFeatures features =
      TinyTower(Profile::kReleased).Forward(TinyClipInput("good04", tower), &trace);
  EXPECT_EQ(features.taps.size(), 4);
  EXPECT_TRUE(at::equal(features.At(3).ordinary[0], trace.tensors.at("clip.block3.ori")));
  EXPECT_TRUE(at::equal(features.At(18).vv[0], trace.tensors.at("clip.block18.vv")));
  EXPECT_ANY_THROW(features.At(4));
}

TEST(VisionTransformer, WithoutVvPathTheOrdinaryStreamIsRead) {
  const at::InferenceMode guard;
  bundle::ImageTower tower = support::MakeManifest(support::Size::kTiny, Profile::kPaper).image_tower;
  const at::Tensor input = TinyClipInput("good04", tower);
  tower.vv_first_block = 0;
  WeightReader reader = TinyClip(Profile::kPaper);
  const ImageFeatures features = VisionTransformer(reader, tower, {}).Forward(input, nullptr);
  EXPECT_FALSE(features.last_vv.defined());
  const GoldenTensors golden("tiny/good04.f64.safetensors");
  EXPECT_LT(
      support::RelativeRms(PatchSnapshots(features, {12})[0][0], golden.Get("clip.block12.ori").slice(0, 1)),
      2e-5);
}

TEST(VisionTransformer, TakesExactlyTheTensorsOfItsTower) {
  WeightReader reader = TinyClip(Profile::kPaper);
  const bundle::Manifest manifest = support::MakeManifest(support::Size::kTiny, Profile::kPaper);
  const VisionTransformer tower(reader, manifest.image_tower, {});
  const std::string left = std::string(reader.Finish().message());
  EXPECT_THAT(left, testing::HasSubstr("transformer.resblocks.0.ln_1.weight"));  // the text tower's
  EXPECT_THAT(left, testing::Not(testing::HasSubstr("visual.")));
}

TEST(ResizePositions, EqualsTheGoldens) {
  const GoldenTensors golden("tiny/pos_embed_resized.f32.safetensors");
  WeightReader reader = TinyClip(Profile::kPaper);
  const at::Tensor stored = reader.Take("visual.positional_embedding", {37, 48});
  EXPECT_LT(golden.RelativeRms("visual.positional_embedding", ResizePositions(stored, 9)), 1e-6);
}

TEST(ResizePositions, EqualsThePostOperators) {
  const GoldenTensors golden("post/ops.safetensors");
  for (const auto& [name, target] :
       std::vector<std::pair<std::string, int>>{{"pos6_to_9", 9}, {"pos16_to_37", 37}, {"pos24_to_37", 37}}) {
    const at::Tensor in = golden.Get(name + ".in");  // [channels, g, g]
    const at::Tensor rows = at::cat({at::full({1, in.size(0)}, 7.0f), in.flatten(1).t()});
    const at::Tensor out = ResizePositions(rows, target);
    EXPECT_TRUE(at::equal(out[0], rows[0])) << "the class token's row must stay";
    EXPECT_LT(golden.RelativeRms(name + ".out", out.slice(0, 1).t().contiguous()), 1e-6) << name;
  }
}

TEST(ResizePositions, TheSameGridIsLeftAlone) {
  const at::Tensor rows = at::rand({1 + 9 * 9, 4});
  EXPECT_TRUE(ResizePositions(rows, 9).is_same(rows));
}

}  // namespace
}  // namespace filo::model
