// CLIP's text tower: causal transformer, the feature is read at the end-of-text token and projected.
//
// Source: Radford et al. 2021, section 2.4; spec section 3. Tensor names are OpenAI's (token_embedding,
// transformer.*, ln_final, text_projection). Immutable after loading; thread-safe.
#pragma once

#include <vector>

#include "ATen/ATen.h"
#include "server/bundle/manifest.h"
#include "server/model/layers.h"
#include "server/model/text_tower.h"
#include "server/model/transformer_block.h"
#include "server/model/weights.h"

namespace filo::model {

class TextTransformer : public TextTower {
 public:
  TextTransformer(WeightReader& reader, const bundle::TextTower& manifest);

  at::Tensor Embed(const at::Tensor& ids) const override;
  // The end-of-text token is the last of a prompt's `lengths` tokens. Under the causal mask nothing behind it
  // can be seen from it, so the cut is exact, not an approximation.
  at::Tensor Encode(const at::Tensor& embeddings, const at::Tensor& lengths, Trace* trace) const override;

 private:
  at::Tensor token_embedding_;  // [vocabulary, width]
  at::Tensor positions_;        // [context_length, width]
  std::vector<TransformerBlock> blocks_;
  LayerNorm ln_final_;
  at::Tensor projection_;  // [width, output_width]
};

}  // namespace filo::model
