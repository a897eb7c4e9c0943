// Grounding DINO (Liu et al. 2023): boxes for the phrases of a caption. The HQ-Loc half of FiLo (spec
// sections 4, 10).
//
// Behind one encoder and decoder stand two backbones: Swin on the image's pixels (the published weights), or
// patch tokens that the shared image tower has computed anyway (the open model). Sizes come from the
// manifest.
//
// Immutable after loading; const methods are thread-safe, work under InferenceMode and differentiate. Within
// a batch an item's numbers do not depend on the other items.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "ATen/ATen.h"
#include "server/bundle/manifest.h"
#include "server/model/bert.h"
#include "server/model/grounding/decoder.h"
#include "server/model/grounding/encoder.h"
#include "server/model/grounding/feature_pyramid.h"
#include "server/model/grounding/query_selection.h"
#include "server/model/swin.h"
#include "server/model/trace.h"
#include "server/model/weights.h"
#include "server/text/caption.h"

namespace filo::model {

// Queries are in the order of the selection (best encoder score first), not of the final score.
struct GroundingOutput {
  at::Tensor logits;  // [queries, max_text_tokens]: of each token of the caption; -infinity behind its end
  at::Tensor boxes;   // [queries, 4]: (cx, cy, w, h), in [0, 1] of the image's width and height
};

// What training compares with the truth. Differentiable; logits end where the (padded) caption ends.
struct GroundingAnswer {
  at::Tensor logits;  // [batch, queries, tokens]; -infinity on padding
  at::Tensor boxes;   // [batch, queries, 4]
};
struct GroundingAnswers {
  std::vector<GroundingAnswer> layers;  // every decoder layer's, the last one is the model's answer
  GroundingAnswer encoder;              // the selected image tokens', before any decoder layer
};

class GroundingDino {
 public:
  // `tower_width` is the width of a patch token of the image tower (kImageTower only). `shared_bert` encodes
  // captions in place of a BERT of its own when the manifest says so (grounding.shared_bert). Tensor names:
  // server/bundle/layout.md, "grounding".
  GroundingDino(WeightReader& reader, const bundle::Grounding& sizes, std::int64_t tower_width = 0,
                std::shared_ptr<const Bert> shared_bert = nullptr);

  // ---- Text: constant for a caption, whatever the image ----
  // BERT's last hidden states [1, tokens, BERT width], each phrase seeing itself alone.
  // Trace: gdino.{input_ids,position_ids,text_mask,bert}.
  at::Tensor EncodeCaption(const text::Caption& caption, Trace* trace = nullptr) const;
  // The same projected to the model's width, with positions and masks. Trace: gdino.feat_map.
  GroundingText ProjectCaption(const text::Caption& caption, const at::Tensor& states,
                               Trace* trace = nullptr) const;
  GroundingText EncodeText(const text::Caption& caption, Trace* trace = nullptr) const {
    return ProjectCaption(caption, EncodeCaption(caption, trace), trace);
  }
  // Captions of different length side by side, padded. Not empty.
  static GroundingText Batch(const std::vector<GroundingText>& texts);

  // ---- Image ----
  // kSwin: feature maps of images [batch, 3, height, width], normalised. Trace: gdino.swin.K.
  std::vector<at::Tensor> ImageFeatures(const at::Tensor& images, Trace* trace = nullptr) const;
  // kImageTower: feature map of patch tokens [batch, rows * columns, tower_width] (row-major, no class
  // token), one tensor for each of the manifest's tower_taps.
  static std::vector<at::Tensor> TowerFeatures(const std::vector<at::Tensor>& taps, std::int64_t rows,
                                               std::int64_t columns);

  // ---- Both ----
  // One image [1, 3, height, width] (kSwin) and one caption. `forced_topk` (tests): see
  // QuerySelection::Select. Trace: every gdino.* tensor of tests/goldens/README.md.
  GroundingOutput Forward(const at::Tensor& image, const GroundingText& text, Trace* trace = nullptr,
                          const std::vector<std::int64_t>* forced_topk = nullptr) const;
  // One item given as feature maps.
  GroundingOutput ForwardFeatures(const std::vector<at::Tensor>& features, const GroundingText& text,
                                  Trace* trace = nullptr,
                                  const std::vector<std::int64_t>* forced_topk = nullptr) const;
  // Several items at once; `text` holds one caption for each, or one for all.
  GroundingAnswers ForwardLayers(const std::vector<at::Tensor>& features, const GroundingText& text) const;

  const bundle::Grounding& sizes() const { return sizes_; }

 private:
  GroundingAnswers Run(const std::vector<at::Tensor>& features, GroundingText text, bool all_layers,
                       Trace* trace, const std::vector<std::int64_t>* forced_topk) const;

  bundle::Grounding sizes_;
  at::TensorOptions options_;
  std::shared_ptr<const Bert> bert_;
  Linear text_projection_;
  std::optional<Swin> swin_;
  FeaturePyramid pyramid_;
  GroundingEncoder encoder_;
  QuerySelection selection_;
  at::Tensor query_embed_;  // [queries, hidden]: the content of a slot, whatever token fills it
  GroundingDecoder decoder_;
};

}  // namespace filo::model
