// Fusion layer of Grounding DINO's encoder: image tokens look at the caption and the caption at the image,
// both through one score matrix (GLIP's bi-directional attention; spec section 10).
//
// The caption is a few dozen tokens while the image is thousands, so every projection of an image token that
// meets the caption in a product is moved to the caption's side of it (W applied to the text rows instead of
// the image rows): the same numbers up to rounding for a fifth of the work. Const methods are thread-safe;
// differentiable; an item never depends on its batch.
#pragma once

#include <cstdint>
#include <string>
#include <utility>

#include "ATen/ATen.h"
#include "server/bundle/manifest.h"
#include "server/model/layers.h"
#include "server/model/weights.h"

namespace filo::model {

class BiAttention {
 public:
  // Takes PREFIX.{gamma_v,gamma_l}, PREFIX.layer_norm_{v,l}.* and
  // PREFIX.attn.{v_proj,l_proj,values_v_proj,values_l_proj,out_v_proj,out_l_proj}.*.
  BiAttention(WeightReader& reader, const bundle::Grounding& sizes, const std::string& prefix);

  // image [batch, pixels, hidden], text [batch, tokens, hidden] -> both, updated. `is_token` bool [batch,
  // tokens] is false on padding; undefined = no padding. Padding rows of the text come out with values of no
  // meaning.
  std::pair<at::Tensor, at::Tensor> operator()(const at::Tensor& image, const at::Tensor& text,
                                               const at::Tensor& is_token) const;

 private:
  // Text keys seen through the image's query projection: weights [batch, heads * tokens, hidden] and biases
  // [batch, 1, heads * tokens] such that scores = image * weights^T + biases.
  std::pair<at::Tensor, at::Tensor> FoldedKeys(const at::Tensor& text) const;
  // Text values seen through the image's output projection and layer scale: [batch, heads * tokens, hidden].
  at::Tensor FoldedValues(const at::Tensor& text) const;

  std::int64_t heads_;
  std::int64_t head_width_;
  LayerNorm image_norm_, text_norm_;
  Linear image_query_, text_key_, image_value_, text_value_, image_out_, text_out_;
  at::Tensor image_gamma_, text_gamma_;  // [hidden]
};

}  // namespace filo::model
