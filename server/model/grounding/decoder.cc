#include "server/model/grounding/decoder.h"

#include "fmt/format.h"
#include "server/model/grounding/position_encoding.h"

namespace filo::model {

at::Tensor InverseSigmoid(const at::Tensor& x) {
  constexpr double kEpsilon = 1e-3;
  const at::Tensor inside = x.clamp(0, 1);
  return at::log(inside.clamp_min(kEpsilon) / (1 - inside).clamp_min(kEpsilon));
}

GroundingDecoder::GroundingDecoder(WeightReader& reader, const bundle::Grounding& sizes,
                                   const std::string& prefix, const std::string& box_prefix)
    : hidden_(sizes.hidden) {
  const double eps = sizes.layer_norm_eps;
  for (int k = 0; k < sizes.decoder_layers; ++k) {
    const std::string name = fmt::format("{}layers.{}.", prefix, k);
    layers_.push_back({
        .self_attention = MultiHeadAttention::Take(reader, name + "self_attn", hidden_, sizes.heads),
        .text_attention = MultiHeadAttention::Take(reader, name + "ca_text", hidden_, sizes.heads),
        .image_attention = DeformableAttention(reader, sizes, name + "cross_attn"),
        .self_norm = LayerNorm::Take(reader, name + "norm2", hidden_, eps),
        .text_norm = LayerNorm::Take(reader, name + "catext_norm", hidden_, eps),
        .image_norm = LayerNorm::Take(reader, name + "norm1", hidden_, eps),
        .feed_forward = FeedForward::Take(reader, name, "norm3", hidden_, sizes.feed_forward, eps),
    });
  }
  norm_ = LayerNorm::Take(reader, prefix + "norm", hidden_, eps);
  position_head_ = Mlp::Take(reader, prefix + "ref_point_head", {2 * hidden_, hidden_, hidden_});
  box_head_ = Mlp::Take(reader, box_prefix, {hidden_, hidden_, hidden_, 4});
}

at::Tensor GroundingDecoder::RunLayer(const Layer& layer, const at::Tensor& queries, const at::Tensor& boxes,
                                      const ImageMemory& image, const GroundingText& text) const {
  const at::Tensor positions = position_head_(BoxPositions(boxes, hidden_));
  at::Tensor x = queries;
  const at::Tensor query = x + positions;
  x = layer.self_norm(x + layer.self_attention(query, query, x));
  const at::Tensor is_token =
      text.is_token.defined() ? text.is_token.unsqueeze(1).unsqueeze(1) : at::Tensor();
  x = layer.text_norm(x + layer.text_attention(x + positions, text.tokens, text.tokens, is_token));
  x = layer.image_norm(x + layer.image_attention(x + positions, boxes, image.tokens, image.levels));
  return layer.feed_forward(x);
}

std::vector<DecoderState> GroundingDecoder::Decode(at::Tensor queries, const at::Tensor& boxes,
                                                   const ImageMemory& image, const GroundingText& text,
                                                   bool all_layers, Trace* trace) const {
  std::vector<DecoderState> states;
  at::Tensor reference = boxes.detach().sigmoid();  // carries gradient from the second layer on
  if (trace != nullptr) Record(trace, "gdino.dec.ref.0", reference[0]);
  for (std::size_t k = 0; k < layers_.size(); ++k) {
    const bool last = k + 1 == layers_.size();
    const at::Tensor fixed = reference.detach();
    queries = RunLayer(layers_[k], queries, fixed, image, text);
    if (all_layers || last) {
      // The answer: box head on the NORMED features, from the PREVIOUS reference.
      const at::Tensor features = norm_(queries);
      states.push_back({features, (box_head_(features) + InverseSigmoid(reference)).sigmoid()});
    }
    // The refinement: box head on the features as they are.
    if (!last || trace != nullptr) reference = (box_head_(queries) + InverseSigmoid(fixed)).sigmoid();
    if (trace != nullptr) {
      Record(trace, fmt::format("gdino.dec.{}.out", k), queries[0]);
      Record(trace, fmt::format("gdino.dec.ref.{}", k + 1), reference[0]);
    }
  }
  Record(trace, "gdino.dec.last_hs", states.back().features[0]);
  return states;
}

}  // namespace filo::model
