// Every network of a bundle, built and ready. What the pipeline computes with, and what training starts from.
//
// Immutable once shared; the networks' const methods are thread-safe.
#pragma once

#include <memory>
#include <optional>

#include "ATen/ATen.h"
#include "absl/status/statusor.h"
#include "server/bundle/bundle.h"
#include "server/model/adapter.h"
#include "server/model/grounding/grounding_dino.h"
#include "server/model/linear_heads.h"
#include "server/model/mmci.h"
#include "server/model/prompt_learner.h"
#include "server/model/text_tower.h"
#include "server/model/vision_transformer.h"
#include "server/text/bert_tokenizer.h"
#include "server/text/tokenizer.h"

namespace filo::detection {

struct Networks {
  std::shared_ptr<const bundle::Bundle> bundle;  // weights may be views of its mapped files
  at::Device device = at::kCPU;
  at::ScalarType dtype = at::kFloat;

  std::unique_ptr<const text::Tokenizer> prompt_tokenizer;       // of the text tower
  std::unique_ptr<const text::BertTokenizer> caption_tokenizer;  // of Grounding DINO; null without grounding
  std::unique_ptr<const model::VisionTransformer> image_tower;
  std::unique_ptr<const model::TextTower> text_tower;
  model::PromptLearner normal_prompts, abnormal_prompts;
  std::optional<model::Adapter> adapter;
  model::MmciKernels kernels;                             // `paper`
  model::FoldedKernels folded;                            // `released`
  model::LinearHeads linear;                              // `released`
  std::unique_ptr<const model::GroundingDino> grounding;  // null without grounding

  const bundle::Manifest& manifest() const { return bundle->manifest(); }

  // Errors: kInvalidArgument listing every missing, surplus, mis-shaped or non-finite tensor by file and
  // name, or naming a tokenizer file.
  static absl::StatusOr<std::unique_ptr<Networks>> Load(std::shared_ptr<const bundle::Bundle> bundle,
                                                        at::Device device, at::ScalarType dtype);
};

}  // namespace filo::detection
