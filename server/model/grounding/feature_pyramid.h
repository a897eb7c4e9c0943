// The backbone's feature maps brought to one width and more scales: input projections of Grounding DINO.
// Const methods are thread-safe; differentiable; an item never depends on its batch.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ATen/ATen.h"
#include "server/bundle/manifest.h"
#include "server/model/grounding/encoder.h"
#include "server/model/trace.h"
#include "server/model/weights.h"

namespace filo::model {

// Channels of each feature map that the backbone gives. With GroundingBackbone::kImageTower that is one map:
// the patch tokens of all taps, `tower_width` channels each, side by side.
std::vector<std::int64_t> BackboneChannels(const bundle::Grounding& sizes, std::int64_t tower_width);

class FeaturePyramid {
 public:
  // Takes input_proj.L.0.{weight,bias} (convolution) and input_proj.L.1.{weight,bias} (group norm, 32
  // groups) for each level L, and transformer.level_embed. A level for which the backbone has a map is a 1x1
  // convolution of it; a further one is a 3x3 convolution of stride 2: of the backbone's last map for Swin's
  // first one (the published weights), else of the level before.
  FeaturePyramid(WeightReader& reader, const bundle::Grounding& sizes, std::int64_t tower_width);

  // maps: [batch, channels, rows, columns] each. Trace: gdino.input_proj.L, gdino.pos.L (without
  // level_embed).
  ImageMemory operator()(const std::vector<at::Tensor>& maps, Trace* trace) const;

 private:
  struct Projection {
    at::Tensor weight, bias;            // convolution
    at::Tensor norm_weight, norm_bias;  // group norm
  };

  bool first_extra_reads_backbone_;
  std::size_t maps_;
  std::vector<Projection> projections_;
  at::Tensor level_embed_;  // [levels, hidden]
};

}  // namespace filo::model
