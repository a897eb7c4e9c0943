// FG-Des' adaptively learned text templates: n context vectors in place of the first n words of a prompt.
//
// Source: the paper's FG-Des ([V1..Vn][STATE][CLS] and [W1..Wn][STATE][CLS] with [ANOMALY CLS] at
// [POS]); spec section 3. Normal and abnormal prompts each have their own learner. Tensor names are FiLo's
// (normal_prompt_learner.*, abnormal_prompt_learner.*). Plain values; const methods are thread-safe.
#pragma once

#include <cstdint>
#include <string>

#include "ATen/ATen.h"
#include "server/model/layers.h"
#include "server/model/weights.h"

namespace filo::model {

struct PromptLearner {
  at::Tensor context;  // [n, text width]: V1..Vn or W1..Wn
  bool has_meta_net = false;
  Linear meta_1, meta_2;  // `released` only: image feature -> feature / 16 -> text width

  static PromptLearner Take(WeightReader& reader, const std::string& prefix, std::int64_t vectors,
                            std::int64_t text_width, std::int64_t image_width, bool meta_net);

  // The meta-net's answer to an adapted and L2-normalised global image feature [image_width]: [text width].
  // It is added to every context vector (spec section 3, `released`). Only with has_meta_net.
  at::Tensor Shift(const at::Tensor& image_feature) const;

  // Prompts' token embeddings [prompts, tokens, width] with tokens 1..n replaced by the context vectors plus
  // `shift` (undefined = none).
  at::Tensor Insert(const at::Tensor& embeddings, const at::Tensor& shift) const;
};

}  // namespace filo::model
