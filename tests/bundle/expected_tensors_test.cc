#include "server/bundle/expected_tensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "tests/support/recipe.h"

namespace filo::bundle {
namespace {

using support::MakeManifest;
using support::RecipeEntry;
using support::Size;

// The recipe's list is that of the authors' own models: what the manifest's sizes say must be the same set.
TEST(ExpectedTensorsTest, EqualTheAuthorsModels) {
  for (const Size size : {Size::kTiny, Size::kFull}) {
    const auto recipe = support::ReadRecipe(size);
    ASSERT_TRUE(recipe.ok()) << recipe.status();
    for (const Profile profile : {Profile::kPaper, Profile::kReleased}) {
      std::map<std::string, Shapes> wanted;
      for (const RecipeEntry& entry : *recipe) {
        const std::string role = entry.file == "clip"   ? "image_text_tower"
                                 : entry.file == "filo" ? "filo"
                                                        : "grounding";
        if (support::InBundle(entry, profile)) wanted[role][entry.tensor] = entry.shape;
      }
      EXPECT_EQ(ExpectedTensors(MakeManifest(size, profile)), wanted);
    }
  }
}

TEST(ExpectedTensorsTest, OpenModelHasTheTowersItNeeds) {
  Manifest manifest = MakeManifest(Size::kTiny, Profile::kPaper);
  manifest.image_tower.architecture = ImageArchitecture::kDinoV2;
  manifest.text_tower.architecture = TextArchitecture::kBert;
  manifest.grounding.backbone = GroundingBackbone::kImageTower;
  manifest.grounding.tower_taps = {6, 12};
  const auto expected = ExpectedTensors(manifest);
  EXPECT_FALSE(expected.at("image_text_tower").contains("visual.proj"));
  EXPECT_FALSE(expected.at("image_text_tower").contains("visual.ln_pre.weight"));
  EXPECT_TRUE(expected.at("image_text_tower").contains("text.encoder.layer.2.output.dense.weight"));
  EXPECT_FALSE(expected.at("grounding").contains("backbone.0.norm1.weight"));
  EXPECT_TRUE(expected.at("grounding").contains("bert.embeddings.word_embeddings.weight"));
  // Both taps side by side feed the first level, every further one halves the one before.
  EXPECT_EQ(expected.at("grounding").at("input_proj.0.0.weight"), (std::vector<std::int64_t>{64, 96, 1, 1}));
  EXPECT_EQ(expected.at("grounding").at("input_proj.1.0.weight"), (std::vector<std::int64_t>{64, 64, 3, 3}));
  EXPECT_EQ(expected.at("grounding").at("input_proj.3.0.weight"), (std::vector<std::int64_t>{64, 64, 3, 3}));
  manifest.grounding.shared_bert = true;
  EXPECT_FALSE(ExpectedTensors(manifest).at("grounding").contains("bert.embeddings.word_embeddings.weight"));
}

TEST(ExpectedTensorsTest, DifferencesNameTensorAndShape) {
  const TensorMap tensors{
      {"a", {DType::kF32, {2, 3}, {}}}, {"b", {DType::kI64, {2}, {}}}, {"c", {DType::kF32, {}, {}}}};
  EXPECT_THAT(Differences(tensors, {{"a", {3, 2}}, {"b", {2}}, {"d", {1}}}),
              testing::UnorderedElementsAre("a has shape [2, 3]; it must be [3, 2]",
                                            "b has type I64; it must be a floating-point type",
                                            "d [1] is missing", "c [] belongs to no part of this model"));
}

}  // namespace
}  // namespace filo::bundle
