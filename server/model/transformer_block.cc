#include "server/model/transformer_block.h"

#include <vector>

namespace filo::model {
TransformerBlock TransformerBlock::Take(WeightReader& reader, const std::string& prefix,
                                        const BlockSizes& sizes) {
  const std::int64_t width = sizes.width;
  TransformerBlock block;
  block.sizes = sizes;
  block.ln_1 = LayerNorm::Take(reader, prefix + ".ln_1", width, sizes.layer_norm_eps);
  block.ln_2 = LayerNorm::Take(reader, prefix + ".ln_2", width, sizes.layer_norm_eps);
  block.in_proj.weight = reader.Take(prefix + ".attn.in_proj_weight", {3 * width, width});
  block.in_proj.bias = reader.Take(prefix + ".attn.in_proj_bias", {3 * width});
  block.out_proj = Linear::Take(reader, prefix + ".attn.out_proj", width, width);
  block.fc = Linear::Take(reader, prefix + ".mlp.c_fc", width, sizes.mlp_width);
  block.proj = Linear::Take(reader, prefix + ".mlp.c_proj", sizes.mlp_width, width);
  return block;
}

Qkv TransformerBlock::Project(const at::Tensor& x) const {
  // [batch, tokens, 3 * width] -> 3 views [batch, heads, tokens, head]
  const at::Tensor qkv = in_proj(ln_1(x)).unflatten(-1, {3, sizes.heads, sizes.width / sizes.heads});
  const std::vector<at::Tensor> parts = qkv.permute({2, 0, 3, 1, 4}).unbind(0);
  return {parts[0], parts[1], parts[2]};
}

at::Tensor TransformerBlock::Attend(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                                    bool causal) const {
  const at::Tensor heads =
      at::scaled_dot_product_attention(q, k, v, /*attn_mask=*/{}, /*dropout_p=*/0, causal);
  return out_proj(heads.transpose(1, 2).flatten(2));
}

at::Tensor TransformerBlock::Mlp(const at::Tensor& x) const {
  return proj(Activate(fc(ln_2(x)), sizes.activation));
}

at::Tensor TransformerBlock::operator()(const at::Tensor& x, bool causal) const {
  const Qkv qkv = Project(x);
  const at::Tensor attended = x + Attend(qkv.q, qkv.k, qkv.v, causal);
  return attended + Mlp(attended);
}

}  // namespace filo::model
