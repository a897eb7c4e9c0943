#include "server/model/text_transformer.h"

#include "ATen/core/grad_mode.h"
#include "fmt/format.h"
#include "gtest/gtest.h"
#include "server/model/maps.h"
#include "server/model/prompt_learner.h"
#include "tests/model/tiny_model.h"
#include "tests/support/golden_tensors.h"

namespace filo::model {
namespace {

using bundle::Profile;
using support::GoldenTensors;

constexpr double kTolerance = 1e-5;

TextTransformer TinyText() {
  WeightReader reader = TinyClip(Profile::kReleased);
  return {reader, support::MakeManifest(support::Size::kTiny, Profile::kReleased).text_tower};
}

PromptLearner TinyLearner(const std::string& kind, Profile profile) {
  WeightReader reader = TinyFilo(profile);
  return PromptLearner::Take(reader, kind + "_prompt_learner", 12, 32, 32, profile == Profile::kReleased);
}

// CLIP's end-of-text token has the highest id of all.
at::Tensor Lengths(const at::Tensor& ids) { return ids.argmax(1) + 1; }

at::Tensor GoldenIds(const std::string& name) {
  return GoldenTensors("tiny/prompts_hazelnut_ids.safetensors").Get(name).to(at::kLong);
}

TEST(TextTransformer, PlainPromptsEqualTheAuthorsCode) {
  const at::InferenceMode guard;
  const TextTransformer text = TinyText();
  const GoldenTensors golden("tiny/text_plain.f64.safetensors");
  const at::Tensor ids = golden.Get("ids").to(at::kLong);
  const at::Tensor features = text.Encode(text.Embed(ids), Lengths(ids), nullptr);
  for (std::int64_t i = 0; i < ids.size(0); ++i) {
    EXPECT_LT(support::RelativeRms(features[i], golden.Get("features")[i]), kTolerance) << i;
  }
}

TEST(TextTransformer, CuttingAfterTheEndTokenChangesNothing) {
  const at::InferenceMode guard;
  const TextTransformer text = TinyText();
  const at::Tensor ids = GoldenIds("normal"), lengths = Lengths(ids);
  const std::int64_t longest = lengths.max().item<std::int64_t>();
  ASSERT_LT(longest, 30);
  const at::Tensor whole = text.Encode(text.Embed(ids), lengths, nullptr);
  const at::Tensor cut = text.Encode(text.Embed(ids.slice(1, 0, longest)), lengths, nullptr);
  EXPECT_LT(support::RelativeRms(cut, whole.to(at::kDouble)), 1e-6);
}

class PromptGolden : public testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Images, PromptGolden, testing::ValuesIn(support::kGoldenImages));

TEST_P(PromptGolden, ReleasedPromptsShiftedByTheImageEqualTheAuthorsCode) {
  const at::InferenceMode guard;
  const TextTransformer text = TinyText();
  const GoldenTensors golden(fmt::format("tiny/{}.f64.safetensors", GetParam()));
  const at::Tensor adapted = golden.Get("filo.adapter_norm").to(at::kFloat);
  Trace trace;
  std::map<std::string, at::Tensor> features;
  for (const std::string kind : {"normal", "abnormal"}) {
    const PromptLearner learner = TinyLearner(kind, Profile::kReleased);
    const at::Tensor shift = learner.Shift(adapted);
    EXPECT_LT(golden.RelativeRms("filo.meta_" + kind, shift), kTolerance);
    const at::Tensor ids = GoldenIds(kind);
    features[kind] = text.Encode(learner.Insert(text.Embed(ids), shift), Lengths(ids),
                                 kind == "normal" ? &trace : nullptr);
    EXPECT_LT(golden.RelativeRms("text." + kind, features[kind]), kTolerance);
  }
  for (const char* name : {"text.prompt0.embed", "text.prompt0.block1", "text.prompt0.block3"}) {
    EXPECT_LT(golden.RelativeRms(name, trace.tensors.at(name)), kTolerance) << name;
  }
  const at::Tensor normal = MeanDirection(features["normal"]);
  EXPECT_LT(golden.RelativeRms("text.F_n", normal), kTolerance);
  EXPECT_LT(golden.RelativeRms("text.F_a_all", MeanDirection(features["abnormal"])), kTolerance);
  // index = state * 9 + position
  for (std::int64_t position = 0; position < 9; ++position) {
    const at::Tensor direction = MeanDirection(features["abnormal"].slice(0, position, at::nullopt, 9));
    EXPECT_LT(support::RelativeRms(direction, golden.Get("text.F_a_pos")[position]), kTolerance) << position;
  }
}

TEST_P(PromptGolden, PaperPromptsEqualTheFormulas) {
  const at::InferenceMode guard;
  const TextTransformer text = TinyText();
  const GoldenTensors golden(fmt::format("tiny/{}.paper.safetensors", GetParam()));
  for (const std::string kind : {"normal", "abnormal"}) {
    const PromptLearner learner = TinyLearner(kind, Profile::kPaper);
    EXPECT_FALSE(learner.has_meta_net);
    const at::Tensor ids = GoldenIds(kind);
    const at::Tensor features = text.Encode(learner.Insert(text.Embed(ids), {}), Lengths(ids), nullptr);
    EXPECT_LT(golden.RelativeRms("paper.text." + kind, features), kTolerance);
    const at::Tensor expected = golden.Get(kind == "normal" ? "paper.F_n" : "paper.F_a_all");
    EXPECT_LT(support::RelativeRms(MeanDirection(features), expected), kTolerance);
  }
}

TEST(PromptLearner, ReplacesTheFirstWordsAndNothingElse) {
  const PromptLearner learner{
      .context = at::full({2, 3}, 5.0f), .has_meta_net = false, .meta_1 = {}, .meta_2 = {}};
  const at::Tensor embeddings = at::rand({4, 6, 3});
  const at::Tensor out = learner.Insert(embeddings, at::full({3}, 1.0f));
  EXPECT_TRUE(at::equal(out.slice(1, 0, 1), embeddings.slice(1, 0, 1)));
  EXPECT_TRUE(at::equal(out.slice(1, 1, 3), at::full({4, 2, 3}, 6.0f)));
  EXPECT_TRUE(at::equal(out.slice(1, 3), embeddings.slice(1, 3)));
}

TEST(PromptLearner, GradientsReachTheContextThroughTheFrozenTower) {
  const TextTransformer text = TinyText();
  PromptLearner learner = TinyLearner("normal", Profile::kPaper);
  learner.context = learner.context.clone().requires_grad_(true);
  const at::Tensor ids = GoldenIds("normal");
  MeanDirection(text.Encode(learner.Insert(text.Embed(ids), {}), Lengths(ids), nullptr))[0].backward();
  ASSERT_TRUE(learner.context.grad().defined());
  EXPECT_GT(learner.context.grad().abs().sum().item<double>(), 0);
}

}  // namespace
}  // namespace filo::model
