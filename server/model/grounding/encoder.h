// The feature enhancer of Grounding DINO: layers of fusion, text self-attention and deformable image
// self-attention (spec section 10). Const methods are thread-safe; differentiable; an item never depends on
// its batch.
#pragma once

#include <string>
#include <vector>

#include "ATen/ATen.h"
#include "server/bundle/manifest.h"
#include "server/model/attention.h"
#include "server/model/grounding/bi_attention.h"
#include "server/model/grounding/deformable_attention.h"
#include "server/model/grounding/level.h"
#include "server/model/layers.h"
#include "server/model/trace.h"
#include "server/model/weights.h"

namespace filo::model {

// x + W2 relu(W1 x), normed.
struct FeedForward {
  Linear linear1, linear2;
  LayerNorm norm;

  // Takes PREFIXlinear1.*, PREFIXlinear2.* and PREFIX`norm_name`.*.
  static FeedForward Take(WeightReader& reader, const std::string& prefix, const std::string& norm_name,
                          std::int64_t width, std::int64_t inner, double eps);
  at::Tensor operator()(const at::Tensor& x) const;
};

// A caption as the networks see it; depends on no image until the encoder has enhanced it, so it can be kept
// for each caption. Immutable in use: copies share the tensors.
struct GroundingText {
  at::Tensor tokens;      // [batch, tokens, hidden], BERT's last hidden states, projected
  at::Tensor positions;   // [batch, tokens, hidden], sine encoding, constant
  at::Tensor may_attend;  // bool [batch, 1, tokens, tokens], a block per phrase; padding sees itself
  at::Tensor is_token;    // bool [batch, tokens], false = padding; undefined = no padding
};

// All levels of the image, one behind another.
struct ImageMemory {
  at::Tensor tokens;     // [batch, tokens of all levels, hidden]
  at::Tensor positions;  // [tokens of all levels, hidden], sine encoding plus the level's embedding
  std::vector<Level> levels;
};

class GroundingEncoder {
 public:
  // Takes PREFIXlayers.K.*, PREFIXtext_layers.K.* and PREFIXfusion_layers.K.*.
  GroundingEncoder(WeightReader& reader, const bundle::Grounding& sizes, const std::string& prefix);

  // Replaces the tokens of both by the enhanced ones. Trace: gdino.enc.K.{fusion.0,fusion.1,text,memory}.
  void Enhance(ImageMemory& image, GroundingText& text, Trace* trace) const;

 private:
  struct Layer {
    BiAttention fusion;
    MultiHeadAttention text_attention;
    LayerNorm text_norm;
    FeedForward text_feed_forward;
    DeformableAttention image_attention;
    LayerNorm image_norm;
    FeedForward image_feed_forward;
  };

  std::vector<Layer> layers_;
};

// Centres (x, y) in [0, 1] of all tokens: [tokens, 2], computed in float32 as the reference does.
at::Tensor TokenCentres(const std::vector<Level>& levels, const at::TensorOptions& options);

}  // namespace filo::model
