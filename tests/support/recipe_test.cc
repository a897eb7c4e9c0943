#include "tests/support/recipe.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <map>
#include <sstream>
#include <string>

#include "server/base/file.h"
#include "server/base/sha256.h"

namespace filo::support {
namespace {

using bundle::Profile;

std::map<std::string, std::string> ReadDigests(const std::string& name) {
  std::map<std::string, std::string> digests;
  std::istringstream lines(*ReadFile(std::string(FILO_GOLDENS) + "/recipe/" + name, 1u << 20));
  std::string file, tensor, digest, rest;
  while (lines >> file >> tensor >> digest && std::getline(lines, rest))
    digests[file + " " + tensor] = digest;
  digests.erase("file tensor");
  return digests;
}

TEST(RecipeTest, KnownAnswer) {
  EXPECT_EQ(Fnv1a64("visual.proj"), 0x379d870311ac6766u);
  const std::vector<float> values = Generate({"", "", {4}, 0, 1, "visual.proj", false});
  EXPECT_EQ(values, (std::vector<float>{0.00827634335f, -0.0473079681f, -0.810194731f, 0.703842282f}));
}

TEST(RecipeTest, EveryTinyTensorHasItsDigest) {
  const auto digests = ReadDigests("tiny_sha256.tsv");
  const auto recipe = ReadRecipe(Size::kTiny);
  ASSERT_TRUE(recipe.ok()) << recipe.status();
  ASSERT_EQ(recipe->size(), digests.size());
  for (const RecipeEntry& entry : *recipe) {
    EXPECT_EQ(Sha256Hex(GenerateBytes(entry)), digests.at(entry.file + " " + entry.tensor)) << entry.tensor;
  }
}

// All 1428 FULL tensors take half a minute: their small ones are checked here, all of them by
// make_golden_bundle.
TEST(RecipeTest, FullTensorsHaveTheirDigests) {
  const auto digests = ReadDigests("full_sha256.tsv");
  const auto recipe = ReadRecipe(Size::kFull);
  ASSERT_TRUE(recipe.ok()) << recipe.status();
  ASSERT_EQ(recipe->size(), digests.size());
  int checked = 0;
  for (const RecipeEntry& entry : *recipe) {
    if (entry.shape.size() > 1 && entry.shape[0] * entry.shape[1] > 200000) continue;
    EXPECT_EQ(Sha256Hex(GenerateBytes(entry)), digests.at(entry.file + " " + entry.tensor)) << entry.tensor;
    ++checked;
  }
  EXPECT_GT(checked, 900);
}

TEST(RecipeTest, BundleHoldsEachTiedTensorOnce) {
  const Weights& released = TinyWeights(Profile::kReleased);
  EXPECT_TRUE(released.gdino.tensors().contains("bbox_embed.0.layers.2.bias"));
  EXPECT_FALSE(released.gdino.tensors().contains("bbox_embed.1.layers.2.bias"));
  EXPECT_FALSE(released.gdino.tensors().contains("transformer.decoder.bbox_embed.0.layers.2.bias"));
  EXPECT_FALSE(released.gdino.tensors().contains("bert.pooler.dense.weight"));
  EXPECT_FALSE(released.clip.tensors().contains("logit_scale"));
  EXPECT_TRUE(released.filo.tensors().contains("decoder_linear.fc.3.bias"));
  const Weights& paper = TinyWeights(Profile::kPaper);
  EXPECT_FALSE(paper.filo.tensors().contains("decoder_linear.fc.3.bias"));
  EXPECT_FALSE(paper.filo.tensors().contains("normal_prompt_learner.meta_net.linear1.bias"));
  EXPECT_TRUE(paper.filo.tensors().contains("decoder_cov.fc_15.2.bias"));
}

}  // namespace
}  // namespace filo::support
