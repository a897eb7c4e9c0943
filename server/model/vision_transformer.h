// The image tower: CLIP's vision transformer with the V-V path beside it, or DINOv2.
//
// Source: the paper's HQ-Loc (patch features of several stages), CLIP Surgery (Li et al. 2023) for the V-V
// path; spec sections 5 and 9.1. Tensor names: server/bundle/layout.md (OpenAI's visual.*; DINOv2 the same
// without ln_pre and proj, its LayerScale and patch bias folded by the importer). Built once from a bundle;
// const methods are thread-safe.
#pragma once

#include <cstdint>
#include <vector>

#include "ATen/ATen.h"
#include "server/bundle/manifest.h"
#include "server/model/layers.h"
#include "server/model/trace.h"
#include "server/model/transformer_block.h"
#include "server/model/weights.h"

namespace filo::model {

// Both streams right after one block of manifest.taps. [batch, 1 + patches, width], class token first.
struct Tap {
  int block = 0;  // 1-based
  at::Tensor ordinary;
  at::Tensor vv;  // undefined before the V-V path begins
  // `ordinary` plus the NEXT block's attention residual; only kept in `released` (see StoredTokens).
  at::Tensor ordinary_attended;
};

struct ImageFeatures {
  at::Tensor global;            // [batch, output_width]: ln_post(class token) * proj, not normalised
  std::vector<Tap> taps;        // manifest.taps, in order
  std::vector<Tap> extra_taps;  // of further blocks that were asked for
  at::Tensor last_vv;           // the V-V stream after the last block; undefined without a V-V path
  int vv_first_block = 0;

  // The tap of a 1-based block, which must be one of the above.
  const Tap& At(int block) const;
};

class VisionTransformer {
 public:
  struct Options {
    bool keep_attended = false;  // keep Tap::ordinary_attended, which only `released` reads
    std::vector<int>
        extra_blocks;  // tapped besides manifest.taps, for a grounding model that shares the tower
  };
  VisionTransformer(WeightReader& reader, const bundle::ImageTower& manifest, Options options);

  // `image` [batch, 3, image_size, image_size], normalised, in the weights' dtype and on their device.
  // Trace: clip.patch_embed, clip.ln_pre, clip.blockK.ori|vv of every block, clip.cls (first image of the
  // batch).
  ImageFeatures Forward(const at::Tensor& image, Trace* trace) const;

  std::int64_t grid() const { return grid_; }  // patches along one side

 private:
  at::Tensor EmbedPatches(const at::Tensor& image, Trace* trace) const;

  bundle::ImageTower manifest_;
  Options options_;
  std::int64_t grid_;
  Linear patch_embedding_;      // conv1 as a matrix [width, 3 * patch * patch]
  at::Tensor class_embedding_;  // [width]
  at::Tensor positions_;        // [1 + grid * grid, width], already resized
  LayerNorm ln_pre_, ln_post_;
  std::vector<TransformerBlock> blocks_;
  at::Tensor projection_;  // [width, output_width]; undefined for DINOv2
};

// Position embeddings [1 + g * g, width] brought to a grid of `target` x `target`: the class token's row is
// kept, the others are resized bicubically (a = -0.75, align_corners = false, no antialiasing), as the
// authors' code resolves it.
at::Tensor ResizePositions(const at::Tensor& positions, std::int64_t target);

// `paper`: what MMCI reads, the V-V stream after the given blocks (the ordinary one where the tower has no
// V-V path): [batch, patches, width] each, class token dropped.
std::vector<at::Tensor> PatchSnapshots(const ImageFeatures& features, const std::vector<int>& blocks);

// `released`: the seven token lists as the released decoders see them (spec section 9.1), class token
// included.
//
// The released tower appends references to its list of taps and goes on working in place on some of those
// tensors:
//   - from the V-V path's first block on, `x += residual` updates the V-V stream in place. Every V-V entry of
//   the list
//     is therefore the same tensor and ends as the stream after the LAST block. The tap just before the V-V
//     path begins is the tensor that the path starts from, so it is overwritten too.
//   - `x_ori += attention residual` updates the ordinary stream in place before the MLP makes a new tensor,
//   so an
//     ordinary entry ends as the stream after its block plus the next block's attention residual (the last
//     block has no successor and stays a true snapshot).
// Published weights were trained on these tensors, so they are what the published accuracy needs. For taps 6,
// 12, 18, 24: 0 = 1 = 3 = 5 = last V-V stream; 2, 4 = ordinary after 12, 18 plus 13's, 19's attention; 6 =
// ordinary after 24.
std::vector<at::Tensor> StoredTokens(const ImageFeatures& features);

}  // namespace filo::model
