// Grounding DINO against the goldens of TINY: every intermediate tensor, from the photograph's bytes.
#include "server/model/grounding/grounding_dino.h"

#include <string>
#include <vector>

#include "ATen/core/grad_mode.h"
#include "fmt/format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/model/grounding/deformable_attention.h"
#include "tests/model/tiny_model.h"
#include "tests/support/golden_tensors.h"

namespace filo::model {
namespace {

constexpr double kTolerance = 1e-5;  // relative rms
constexpr double kBoxTolerance = 1e-5;

bundle::Grounding TinyGrounding() {
  return support::MakeManifest(support::Size::kTiny, bundle::Profile::kReleased).grounding;
}

const GroundingDino& TinyNetwork() {
  static const GroundingDino network = [] {
    WeightReader reader(support::TinyWeights(bundle::Profile::kReleased).gdino.tensors(), "grounding",
                        at::kCPU, at::kFloat);
    GroundingDino built(reader, TinyGrounding());
    const absl::Status status = reader.Finish();
    EXPECT_TRUE(status.ok()) << status;
    return built;
  }();
  return network;
}

text::Caption CaptionOf(const std::string& text) {
  static const auto tokenizer =
      text::BertTokenizer::Load(FILO_TEST_DATA "/vocab/bert_base_uncased_vocab.txt");
  EXPECT_TRUE(tokenizer.ok()) << tokenizer.status();
  return text::MakeCaption(**tokenizer, text);
}

at::Tensor Input(std::string_view image, int shortest, int longest) {
  const image::RgbImage rgb = image::GroundingInput(support::GoldenImage(image), shortest, longest);
  return NormalisedInput(rgb.pixels, rgb.height, rgb.width, TinyGrounding().normalisation, at::kCPU,
                         at::kFloat);
}

struct Case {
  const char* image;
  const char* golden;
  int shortest;
  int longest;
};

class GroundingGolden : public testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    const Case& c = GetParam();
    caption_ = CaptionOf(
        support::GoldenJson(fmt::format("tiny/{}.f64.json", c.golden))["caption"].get<std::string>());
    output_ = TinyNetwork().Forward(Input(c.image, c.shortest, c.longest),
                                    TinyNetwork().EncodeText(caption_, &trace_), &trace_);
  }

  const at::InferenceMode guard_;
  const support::GoldenTensors golden_{fmt::format("tiny/{}.f64.safetensors", GetParam().golden)};
  text::Caption caption_;
  Trace trace_;
  GroundingOutput output_;
};
INSTANTIATE_TEST_SUITE_P(Images, GroundingGolden,
                         testing::Values(Case{"good04", "good04", 126, 320},
                                         Case{"colour00", "colour00", 126, 320},
                                         Case{"synth", "synth", 126, 320},
                                         Case{"synth", "synth_det518", 518, 1333}),
                         [](const auto& instance) { return std::string(instance.param.golden); });

TEST_P(GroundingGolden, EveryTensorEqualsTheAuthors) {
  int compared = 0;
  for (const std::string& name : golden_.Names()) {
    if (name.rfind("gdino.", 0) != 0 || name == "gdino.kept_boxes" || name == "gdino.input_u8") continue;
    const auto found = trace_.tensors.find(name);
    ASSERT_NE(found, trace_.tensors.end()) << name << " is not traced";
    EXPECT_LT(golden_.RelativeRms(name, found->second), kTolerance) << name;
    ++compared;
  }
  EXPECT_GE(compared, 30);
}

TEST_P(GroundingGolden, SelectionIsIdentical) {
  EXPECT_TRUE(at::equal(trace_.tensors.at("gdino.topk_index").flatten().to(at::kInt),
                        golden_.Get("gdino.topk_index").flatten().to(at::kInt)));
}

TEST_P(GroundingGolden, KeptBoxesAreTheAuthors) {
  const bundle::Grounding sizes = TinyGrounding();
  const at::Tensor best = output_.logits.sigmoid().amax(1);
  const at::Tensor area = output_.boxes.select(1, 2) * output_.boxes.select(1, 3);
  at::Tensor kept = (best > sizes.box_threshold) & (area < sizes.max_box_area);
  const at::Tensor expected = golden_.Get("gdino.kept_boxes");
  if (!kept.any().item<bool>()) {
    kept = at::zeros_like(kept);
    kept[best.argmax().item<std::int64_t>()] = true;
  }
  const at::Tensor boxes = output_.boxes.index({kept});
  ASSERT_EQ(boxes.sizes(), expected.sizes());
  EXPECT_LT(support::MaxAbsDifference(boxes, expected), kBoxTolerance);
}

TEST_P(GroundingGolden, ForcedOrderOfTheSelectionIsFollowed) {
  const at::Tensor index = trace_.tensors.at("gdino.topk_index").flatten().to(at::kLong);
  std::vector<std::int64_t> order(index.data_ptr<std::int64_t>(),
                                  index.data_ptr<std::int64_t>() + index.numel());
  const Case& c = GetParam();
  const at::Tensor input = Input(c.image, c.shortest, c.longest);
  const GroundingText text = TinyNetwork().EncodeText(caption_);
  EXPECT_TRUE(at::equal(TinyNetwork().Forward(input, text, nullptr, &order).boxes, output_.boxes));
  std::swap(order[0], order[1]);  // the content embedding belongs to the slot: both detections change
  const at::Tensor swapped = TinyNetwork().Forward(input, text, nullptr, &order).boxes;
  EXPECT_FALSE(at::equal(swapped[0], output_.boxes[0]));
}

TEST(GroundingBatch, AnItemDoesNotDependOnItsBatch) {
  const at::InferenceMode guard;
  const GroundingDino& network = TinyNetwork();
  const at::Tensor a = Input("good04", 126, 320), b = Input("colour00", 126, 320);
  ASSERT_EQ(a.sizes(), b.sizes());
  const GroundingText longer =
      network.EncodeText(CaptionOf("anomaly . damage . broken . defect . scratch on the shell."));
  const GroundingText shorter = network.EncodeText(CaptionOf("anomaly . damage."));
  const GroundingAnswer together =
      network.ForwardLayers(network.ImageFeatures(at::cat({a, b})), GroundingDino::Batch({longer, shorter}))
          .layers.back();
  const GroundingAnswer first = network.ForwardLayers(network.ImageFeatures(a), longer).layers.back();
  const GroundingAnswer second = network.ForwardLayers(network.ImageFeatures(b), shorter).layers.back();
  EXPECT_LT(support::MaxAbsDifference(together.boxes[0], first.boxes[0]), kBoxTolerance);
  EXPECT_LT(support::MaxAbsDifference(together.boxes[1], second.boxes[0]), kBoxTolerance);
  const std::int64_t tokens = second.logits.size(2);
  EXPECT_LT(support::MaxAbsDifference(together.logits[1].slice(1, 0, tokens), second.logits[0]), 1e-4);
  EXPECT_TRUE(together.logits[1].slice(1, tokens).isinf().all().item<bool>());
}

TEST(GroundingGradient, FlowsThroughTheSamplingToEveryInput) {
  // The fast kernel has no backward; with gradients on, the portable path must be taken and agree.
  const std::vector<Level> levels = {{5, 7}, {3, 4}};
  const at::Tensor value = at::rand({2, 47, 3, 8}), locations = at::rand({2, 6, 3, 2, 4, 2}) * 1.4 - 0.2;
  const at::Tensor weights = at::rand({2, 6, 3, 2, 4}).flatten(3).softmax(-1).view({2, 6, 3, 2, 4});
  const at::Tensor portable = SampleLevelsPortable(value, levels, locations, weights);
  EXPECT_LT(support::MaxAbsDifference(SampleLevels(value, levels, locations, weights), portable), 1e-5);
  const at::Tensor with_gradient = value.clone().requires_grad_();
  const at::Tensor sampled = SampleLevels(with_gradient, levels, locations, weights);
  EXPECT_LT(support::MaxAbsDifference(sampled.detach(), portable), 1e-6);
  sampled.sum().backward();
  EXPECT_GT(with_gradient.grad().abs().sum().item<double>(), 1.0);
}

}  // namespace
}  // namespace filo::model
