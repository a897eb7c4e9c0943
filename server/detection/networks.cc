#include "server/detection/networks.h"

#include <string>
#include <utility>

#include "fmt/format.h"
#include "server/base/status.h"
#include "server/model/bert_text_tower.h"
#include "server/model/text_transformer.h"
#include "server/model/weights.h"
#include "server/text/clip_tokenizer.h"

namespace filo::detection {
namespace {

using bundle::Manifest;
using bundle::Profile;

// The books of one weight file. `role` must be one that the manifest's check made sure of.
model::WeightReader ReaderOf(const Networks& n, std::string_view role) {
  return {n.bundle->tensors(role)->tensors(), n.bundle->Path(role), n.device, n.dtype};
}

absl::Status LoadTokenizers(Networks& n) {
  const Manifest& m = n.manifest();
  if (m.text_tower.architecture == bundle::TextArchitecture::kClip) {
    FILO_ASSIGN_OR_RETURN(n.prompt_tokenizer, text::ClipTokenizer::Load(n.bundle->Path("clip_vocabulary")));
  } else {
    FILO_ASSIGN_OR_RETURN(n.prompt_tokenizer, text::BertTokenizer::Load(n.bundle->Path("bert_vocabulary")));
  }
  if (n.prompt_tokenizer->vocabulary_size() > m.text_tower.vocabulary) {
    return FieldError(
        "manifest.json: text_tower.vocabulary", fmt::format("{}", m.text_tower.vocabulary),
        fmt::format("hold the {} tokens of the vocabulary file", n.prompt_tokenizer->vocabulary_size()));
  }
  if (!m.has_grounding) return absl::OkStatus();
  FILO_ASSIGN_OR_RETURN(n.caption_tokenizer, text::BertTokenizer::Load(n.bundle->Path("bert_vocabulary")));
  if (n.caption_tokenizer->vocabulary_size() > m.grounding.bert.vocabulary) {
    return FieldError(
        "manifest.json: grounding.bert.vocabulary", fmt::format("{}", m.grounding.bert.vocabulary),
        fmt::format("hold the {} tokens of the vocabulary file", n.caption_tokenizer->vocabulary_size()));
  }
  return absl::OkStatus();
}

absl::Status LoadTowers(Networks& n) {
  const Manifest& m = n.manifest();
  model::WeightReader reader = ReaderOf(n, "image_text_tower");
  n.image_tower = std::make_unique<const model::VisionTransformer>(
      reader, m.image_tower,
      model::VisionTransformer::Options{
          .keep_attended = m.profile == Profile::kReleased,
          .extra_blocks = m.has_grounding ? m.grounding.tower_taps : std::vector<int>()});
  if (m.text_tower.architecture == bundle::TextArchitecture::kClip) {
    n.text_tower = std::make_unique<const model::TextTransformer>(reader, m.text_tower);
  } else {
    n.text_tower = std::make_unique<const model::BertTextTower>(reader, m.text_tower);
  }
  return reader.Finish();
}

absl::Status LoadHeads(Networks& n) {
  const Manifest& m = n.manifest();
  const std::int64_t patch_width = m.image_tower.width, text_width = m.text_tower.output_width;
  model::WeightReader reader = ReaderOf(n, "filo");
  const auto learner = [&](const char* prefix) {
    return model::PromptLearner::Take(reader, prefix, m.prompts.context_vectors, m.text_tower.width,
                                      m.image_tower.output_width, m.prompts.meta_net);
  };
  n.normal_prompts = learner("normal_prompt_learner");
  n.abnormal_prompts = learner("abnormal_prompt_learner");
  if (m.has_adapter) n.adapter = model::Adapter::Take(reader, m.image_tower.output_width);
  n.kernels = model::MmciKernels::Take(reader, m.heads, patch_width, text_width);
  if (m.profile == Profile::kReleased) {
    n.linear = model::LinearHeads::Take(reader, m.heads.linear_heads, patch_width, text_width);
    n.folded = model::FoldKernels(n.kernels);
    n.kernels = {};  // only their sum is ever used
  }
  return reader.Finish();
}

absl::Status LoadGrounding(Networks& n) {
  if (!n.manifest().has_grounding) return absl::OkStatus();
  model::WeightReader reader = ReaderOf(n, "grounding");
  n.grounding = std::make_unique<const model::GroundingDino>(reader, n.manifest().grounding,
                                                             n.manifest().image_tower.width);
  return reader.Finish();
}

}  // namespace

absl::StatusOr<std::unique_ptr<Networks>> Networks::Load(std::shared_ptr<const bundle::Bundle> bundle,
                                                         at::Device device, at::ScalarType dtype) {
  auto networks = std::make_unique<Networks>();
  networks->bundle = std::move(bundle);
  networks->device = device;
  networks->dtype = dtype;
  FILO_RETURN_IF_ERROR(LoadTokenizers(*networks));
  FILO_RETURN_IF_ERROR(LoadTowers(*networks));
  FILO_RETURN_IF_ERROR(LoadHeads(*networks));
  FILO_RETURN_IF_ERROR(LoadGrounding(*networks));
  return networks;
}

}  // namespace filo::detection
