#include "server/model/grounding/bi_attention.h"

#include <cmath>
#include <limits>

namespace filo::model {
namespace {

// The reference clamps scores this far below the largest one (a guard for half precision that changes results
// there).
constexpr double kLowestScore = -50000;
constexpr double kMinusInfinity = -std::numeric_limits<double>::infinity();

}  // namespace

BiAttention::BiAttention(WeightReader& reader, const bundle::Grounding& sizes, const std::string& prefix)
    : heads_(sizes.fusion_heads), head_width_(sizes.fusion_width / sizes.fusion_heads) {
  const std::int64_t hidden = sizes.hidden, width = sizes.fusion_width;
  const double eps = sizes.layer_norm_eps;
  image_norm_ = LayerNorm::Take(reader, prefix + ".layer_norm_v", hidden, eps);
  text_norm_ = LayerNorm::Take(reader, prefix + ".layer_norm_l", hidden, eps);
  image_query_ = Linear::Take(reader, prefix + ".attn.v_proj", hidden, width);
  text_key_ = Linear::Take(reader, prefix + ".attn.l_proj", hidden, width);
  image_value_ = Linear::Take(reader, prefix + ".attn.values_v_proj", hidden, width);
  text_value_ = Linear::Take(reader, prefix + ".attn.values_l_proj", hidden, width);
  image_out_ = Linear::Take(reader, prefix + ".attn.out_v_proj", width, hidden);
  text_out_ = Linear::Take(reader, prefix + ".attn.out_l_proj", width, hidden);
  image_gamma_ = reader.Take(prefix + ".gamma_v", {hidden});
  text_gamma_ = reader.Take(prefix + ".gamma_l", {hidden});
}

std::pair<at::Tensor, at::Tensor> BiAttention::FoldedKeys(const at::Tensor& text) const {
  const double scale = 1.0 / std::sqrt(static_cast<double>(head_width_));
  // (x Wq^T + bq) . k = x . (k Wq) + bq . k, head by head.
  const at::Tensor keys = (text_key_(text) * scale).unflatten(-1, {heads_, head_width_}).transpose(1, 2);
  const at::Tensor weights = at::matmul(keys, image_query_.weight.unflatten(0, {heads_, head_width_}));
  const at::Tensor biases = at::matmul(keys, image_query_.bias.view({heads_, head_width_, 1}));
  return {weights.flatten(1, 2), biases.flatten(1).unsqueeze(1)};
}

at::Tensor BiAttention::FoldedValues(const at::Tensor& text) const {
  const at::Tensor values = text_value_(text).unflatten(-1, {heads_, head_width_}).transpose(1, 2);
  const at::Tensor out = (image_gamma_.unsqueeze(1) * image_out_.weight).unflatten(1, {heads_, head_width_});
  return at::matmul(values, out.permute({1, 2, 0})).flatten(1, 2);
}

std::pair<at::Tensor, at::Tensor> BiAttention::operator()(const at::Tensor& image_in,
                                                          const at::Tensor& text_in,
                                                          const at::Tensor& is_token) const {
  const at::Tensor image = image_norm_(image_in);
  const at::Tensor text = text_norm_(text_in);
  const std::int64_t batch = image.size(0), pixels = image.size(1), tokens = text.size(1);

  const auto [key_weights, key_biases] = FoldedKeys(text);
  // [batch, pixels, heads, tokens]
  at::Tensor scores =
      at::baddbmm(key_biases, image, key_weights.transpose(1, 2)).view({batch, pixels, heads_, tokens});
  if (is_token.defined()) scores = scores.masked_fill(~is_token.view({batch, 1, 1, tokens}), kMinusInfinity);
  // Largest score of the item, never of the batch.
  const at::Tensor largest = scores.detach().amax({1, 2, 3}, /*keepdim=*/true);
  scores = at::maximum(scores, largest + kLowestScore);

  at::Tensor over_text = scores;
  if (is_token.defined())
    over_text = over_text.masked_fill(~is_token.view({batch, 1, 1, tokens}), kMinusInfinity);
  const at::Tensor image_weights = over_text.softmax(3).view({batch, pixels, heads_ * tokens});
  // The residual goes to the normed input, not to the input.
  const at::Tensor image_out =
      image + at::baddbmm(image_gamma_ * image_out_.bias, image_weights, FoldedValues(text));

  // Each row of weights sums to one, so the values' bias can be added after averaging the image tokens.
  const at::Tensor text_weights = scores.softmax(1).view({batch, pixels, heads_ * tokens});
  const at::Tensor seen = at::bmm(text_weights.transpose(1, 2), image).view({batch, heads_, tokens, -1});
  const at::Tensor values =
      at::matmul(seen, image_value_.weight.unflatten(0, {heads_, head_width_}).transpose(1, 2)) +
      image_value_.bias.view({heads_, 1, head_width_});
  const at::Tensor text_out = text + text_gamma_ * text_out_(values.transpose(1, 2).flatten(2));
  return {image_out, text_out};
}

}  // namespace filo::model
