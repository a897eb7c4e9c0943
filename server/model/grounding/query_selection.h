// Language-guided query selection: which image tokens become the decoder's starting boxes (spec section 10,
// two-stage). Const methods are thread-safe; differentiable; an item never depends on its batch.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ATen/ATen.h"
#include "server/bundle/manifest.h"
#include "server/model/grounding/encoder.h"
#include "server/model/grounding/level.h"
#include "server/model/layers.h"
#include "server/model/trace.h"
#include "server/model/weights.h"

namespace filo::model {

// Layers with relu between them.
struct Mlp {
  std::vector<Linear> layers;

  // Takes PREFIX.layers.K.* for widths[K] -> widths[K + 1].
  static Mlp Take(WeightReader& reader, const std::string& prefix, const std::vector<std::int64_t>& widths);
  at::Tensor operator()(at::Tensor x) const;
};

// Similarity of each query with each token of the caption: [batch, queries, tokens] of features [batch,
// queries, hidden]; -infinity on padding.
at::Tensor TokenLogits(const at::Tensor& features, const GroundingText& text);

// Boxes that the encoder proposes before any refinement: at each token's centre, 0.05 * 2^level wide and
// high.
struct Proposals {
  at::Tensor logits;    // [tokens, 4], inverse sigmoid of (cx, cy, w, h); +infinity where not valid
  at::Tensor is_valid;  // bool [tokens, 1]: every coordinate strictly inside (0.01, 0.99)
};
Proposals MakeProposals(const std::vector<Level>& levels, const at::TensorOptions& options);

struct SelectedQueries {
  at::Tensor index;     // int64 [batch, queries], into the image tokens, best first
  at::Tensor features;  // [batch, queries, hidden], normed encoder output of those tokens
  at::Tensor
      boxes;  // [batch, queries, 4], inverse sigmoid of (cx, cy, w, h), may be +infinity; carries gradient
};

class QuerySelection {
 public:
  // Takes PREFIXenc_output.*, PREFIXenc_output_norm.* and PREFIXenc_out_bbox_embed.*.
  QuerySelection(WeightReader& reader, const bundle::Grounding& sizes, const std::string& prefix);

  // The `queries` tokens with the largest token logit (all of them where the image has fewer).
  // `forced_index`, if not null, replaces that choice, for tests (near-equal scores swap ranks from rounding
  // noise). Trace:
  // gdino.{enc_output,enc_class_max,enc_bbox_delta,topk_scores,topk_index,refpoints_unsigmoid}.
  SelectedQueries Select(const ImageMemory& image, const GroundingText& text,
                         const std::vector<std::int64_t>* forced_index, Trace* trace) const;

 private:
  std::int64_t queries_;
  Linear output_;
  LayerNorm output_norm_;
  Mlp box_head_;
};

}  // namespace filo::model
