// The decoder of Grounding DINO: queries look at each other, at the caption and at the image, and move their
// boxes a little in every layer (spec section 10). Const methods are thread-safe; differentiable; an item
// never depends on its batch.
#pragma once

#include <string>
#include <vector>

#include "ATen/ATen.h"
#include "server/bundle/manifest.h"
#include "server/model/attention.h"
#include "server/model/grounding/deformable_attention.h"
#include "server/model/grounding/encoder.h"
#include "server/model/grounding/query_selection.h"
#include "server/model/layers.h"
#include "server/model/trace.h"
#include "server/model/weights.h"

namespace filo::model {

// log(x / (1 - x)) with x and 1 - x kept above 1e-3 (the Hugging Face port uses 1e-5: other boxes).
at::Tensor InverseSigmoid(const at::Tensor& x);

// What the queries are after one layer.
struct DecoderState {
  at::Tensor features;  // [batch, queries, hidden], normed
  at::Tensor boxes;     // [batch, queries, 4], (cx, cy, w, h) in [0, 1]
};

class GroundingDecoder {
 public:
  // Takes PREFIXlayers.K.*, PREFIXnorm.*, PREFIXref_point_head.* and the box head BOX_PREFIX.*, which all
  // layers share.
  GroundingDecoder(WeightReader& reader, const bundle::Grounding& sizes, const std::string& prefix,
                   const std::string& box_prefix);

  // `queries` [batch, queries, hidden]; `boxes` [batch, queries, 4] as SelectedQueries has them. Gives every
  // layer's state when `all_layers`, else the last one's alone. No gradient flows from a layer's boxes into
  // the layer before except through the answer (DINO's "look forward twice"). Trace: gdino.dec.K.out,
  // gdino.dec.ref.K, gdino.dec.last_hs.
  std::vector<DecoderState> Decode(at::Tensor queries, const at::Tensor& boxes, const ImageMemory& image,
                                   const GroundingText& text, bool all_layers, Trace* trace) const;

 private:
  struct Layer {
    MultiHeadAttention self_attention, text_attention;
    DeformableAttention image_attention;
    LayerNorm self_norm, text_norm, image_norm;
    FeedForward feed_forward;
  };

  at::Tensor RunLayer(const Layer& layer, const at::Tensor& queries, const at::Tensor& boxes,
                      const ImageMemory& image, const GroundingText& text) const;

  std::int64_t hidden_;
  std::vector<Layer> layers_;
  LayerNorm norm_;
  Mlp position_head_;
  Mlp box_head_;
};

}  // namespace filo::model
