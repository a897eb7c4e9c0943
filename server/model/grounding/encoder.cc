#include "server/model/grounding/encoder.h"

#include "fmt/format.h"

namespace filo::model {

FeedForward FeedForward::Take(WeightReader& reader, const std::string& prefix, const std::string& norm_name,
                              std::int64_t width, std::int64_t inner, double eps) {
  return {.linear1 = Linear::Take(reader, prefix + "linear1", width, inner),
          .linear2 = Linear::Take(reader, prefix + "linear2", inner, width),
          .norm = LayerNorm::Take(reader, prefix + norm_name, width, eps)};
}

at::Tensor FeedForward::operator()(const at::Tensor& x) const { return norm(x + linear2(linear1(x).relu())); }

at::Tensor TokenCentres(const std::vector<Level>& levels, const at::TensorOptions& options) {
  const at::TensorOptions single = options.dtype(at::kFloat);
  std::vector<at::Tensor> centres;
  for (const Level& level : levels) {
    const auto along = [&](std::int64_t length) {
      return (at::arange(length, single) + 0.5) / static_cast<double>(length);
    };
    const at::Tensor x = along(level.columns).unsqueeze(0).expand({level.rows, level.columns});
    const at::Tensor y = along(level.rows).unsqueeze(1).expand({level.rows, level.columns});
    centres.push_back(at::stack({x, y}, -1).flatten(0, 1));
  }
  return at::cat(centres).to(options.dtype());
}

GroundingEncoder::GroundingEncoder(WeightReader& reader, const bundle::Grounding& sizes,
                                   const std::string& prefix) {
  const std::int64_t hidden = sizes.hidden;
  const double eps = sizes.layer_norm_eps;
  for (int k = 0; k < sizes.encoder_layers; ++k) {
    const std::string image = fmt::format("{}layers.{}.", prefix, k);
    const std::string text = fmt::format("{}text_layers.{}.", prefix, k);
    layers_.push_back({
        .fusion = BiAttention(reader, sizes, fmt::format("{}fusion_layers.{}", prefix, k)),
        .text_attention = MultiHeadAttention::Take(reader, text + "self_attn", hidden, sizes.text_heads),
        .text_norm = LayerNorm::Take(reader, text + "norm1", hidden, eps),
        .text_feed_forward = FeedForward::Take(reader, text, "norm2", hidden, sizes.text_feed_forward, eps),
        .image_attention = DeformableAttention(reader, sizes, image + "self_attn"),
        .image_norm = LayerNorm::Take(reader, image + "norm1", hidden, eps),
        .image_feed_forward = FeedForward::Take(reader, image, "norm2", hidden, sizes.feed_forward, eps),
    });
  }
}

void GroundingEncoder::Enhance(ImageMemory& image, GroundingText& text, Trace* trace) const {
  const at::Tensor centres = TokenCentres(image.levels, image.tokens.options()).unsqueeze(0);
  for (std::size_t k = 0; k < layers_.size(); ++k) {
    const Layer& layer = layers_[k];
    const auto record = [&](std::string_view name, const at::Tensor& tensor) {
      if (trace != nullptr) Record(trace, fmt::format("gdino.enc.{}.{}", k, name), tensor[0]);
    };
    std::tie(image.tokens, text.tokens) = layer.fusion(image.tokens, text.tokens, text.is_token);
    record("fusion.0", image.tokens);
    record("fusion.1", text.tokens);

    const at::Tensor query = text.tokens + text.positions;
    text.tokens =
        layer.text_norm(text.tokens + layer.text_attention(query, query, text.tokens, text.may_attend));
    text.tokens = layer.text_feed_forward(text.tokens);
    record("text", text.tokens);

    image.tokens =
        layer.image_norm(image.tokens + layer.image_attention(image.tokens + image.positions, centres,
                                                              image.tokens, image.levels));
    image.tokens = layer.image_feed_forward(image.tokens);
    record("memory", image.tokens);
  }
}

}  // namespace filo::model
