// One pre-norm residual block, shared by CLIP's image and text towers and by DINOv2.
//
// Source: Dosovitskiy et al. 2021 (ViT) and Radford et al. 2021 (CLIP); spec section 5. Tensor names are
// OpenAI's: PREFIX.{ln_1,ln_2}, PREFIX.attn.{in_proj_weight,in_proj_bias,out_proj}, PREFIX.mlp.{c_fc,c_proj}.
// Plain values; const methods are thread-safe.
#pragma once

#include <cstdint>
#include <string>

#include "ATen/ATen.h"
#include "server/bundle/manifest.h"
#include "server/model/layers.h"
#include "server/model/weights.h"

namespace filo::model {

struct BlockSizes {
  std::int64_t width = 0;
  std::int64_t heads = 0;
  std::int64_t mlp_width = 0;
  double layer_norm_eps = 0;
  bundle::Activation activation = bundle::Activation::kGelu;
};

// Per head, [batch, heads, tokens, width / heads].
struct Qkv {
  at::Tensor q, k, v;
};

struct TransformerBlock {
  BlockSizes sizes;
  LayerNorm ln_1, ln_2;
  Linear in_proj;   // width -> 3 * width, rows q, k, v
  Linear out_proj;  // width -> width
  Linear fc;        // width -> mlp_width
  Linear proj;      // mlp_width -> width

  static TransformerBlock Take(WeightReader& reader, const std::string& prefix, const BlockSizes& sizes);

  // Queries, keys and values of ln_1(x), x being [batch, tokens, width].
  Qkv Project(const at::Tensor& x) const;
  // softmax(q k^T / sqrt(width / heads)) v, heads merged, through the output projection: [batch, tokens,
  // width]. `causal`: a token sees itself and those before it.
  at::Tensor Attend(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, bool causal) const;
  // c_proj(act(c_fc(ln_2(x)))), without the residual.
  at::Tensor Mlp(const at::Tensor& x) const;
  // The whole block, residuals included.
  at::Tensor operator()(const at::Tensor& x, bool causal) const;
};

}  // namespace filo::model
