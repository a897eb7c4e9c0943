// Swin Transformer (Liu et al. 2021), the image backbone of Grounding DINO: windows of 7x7 tokens attend
// within themselves, every second block shifted by half a window; patches are merged 2x2 between stages.
//
// Any image size works: tokens are padded with zeros to whole windows. Source: spec section 10. Immutable
// after loading; const methods are thread-safe; differentiable; an image never depends on its batch.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ATen/ATen.h"
#include "server/bundle/manifest.h"
#include "server/model/layers.h"
#include "server/model/weights.h"

namespace filo::model {

// Attention within windows of side `window`, with a learned bias per relative position.
struct WindowAttention {
  Linear qkv, projection;
  at::Tensor bias_table;  // [(2 * window - 1)^2, heads]
  std::int64_t heads = 0;
  std::int64_t window = 0;

  // x: [windows, window^2, channels], the windows of one image after those of another. `shift_mask` [windows
  // of one image, window^2, window^2] is added to the scores; undefined = none.
  at::Tensor operator()(const at::Tensor& x, const at::Tensor& shift_mask) const;
};

class Swin {
 public:
  // Takes PREFIXpatch_embed.*, PREFIXlayers.S.{blocks.K,downsample}.* and PREFIXnormS of the stages that are
  // given out.
  Swin(WeightReader& reader, const bundle::Swin& sizes, const std::string& prefix);

  // Outputs [batch, channels * 2^S, rows, columns] of the stages S = 1 .. last, each through its own layer
  // norm, of normalised images [batch, 3, height, width].
  std::vector<at::Tensor> Forward(const at::Tensor& images) const;

  // Channels of each output of Forward.
  static std::vector<std::int64_t> OutputChannels(const bundle::Swin& sizes);

 private:
  struct Block {
    LayerNorm norm1, norm2;
    WindowAttention attention;
    Linear fc1, fc2;
    bool shifted = false;
  };
  struct Stage {
    std::vector<Block> blocks;
    LayerNorm output_norm;   // stages 1 ..
    LayerNorm merge_norm;    // all but the last
    Linear merge_reduction;  // all but the last
  };

  at::Tensor EmbedPatches(const at::Tensor& images) const;
  at::Tensor RunBlock(const Block& block, const at::Tensor& x, const at::Tensor& shift_mask) const;

  bundle::Swin sizes_;
  at::Tensor patch_weight_, patch_bias_;
  LayerNorm patch_norm_;
  std::vector<Stage> stages_;
};

}  // namespace filo::model
