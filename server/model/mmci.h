// MMCI, multi-scale multi-shape cross-modal interaction: convolutions of several shapes over the patch grid,
// compared with the two text rows.
//
// Source: the paper's HQ-Loc, formula M_i = Up(Norm(sum_j softmax(C_j(P_i) . [F_n, F_a]^T))); spec section 7.
// Tensor names are FiLo's: decoder_cov.fc_{height}{width}.{stage}.{weight,bias}, e.g. fc_15 is 1 high and 5
// wide. Cross-correlation, zero "same" padding; kernel sides are odd. Plain values; const methods are
// thread-safe.
#pragma once

#include <cstdint>
#include <vector>

#include "ATen/ATen.h"
#include "server/bundle/manifest.h"
#include "server/model/weights.h"

namespace filo::model {

// The kernels of every stage: stages[s][k] in the manifest's order of kernels.
struct MmciKernels {
  struct Kernel {
    at::Tensor weight;  // [text width, patch width, height, width]
    at::Tensor bias;    // [text width]
  };
  std::vector<std::vector<Kernel>> stages;

  static MmciKernels Take(WeightReader& reader, const bundle::Heads& heads, std::int64_t patch_width,
                          std::int64_t text_width);
};

// ---- `paper` -----------------------------------------------------------------------------------
// The kernels seen through text rows. No norm stands between a convolution and its dot product with a row, so
// (C * P) . F = (C . F) * P: the kernel is projected onto the rows first, `text width` -> `rows` channels,
// which for two rows of 768 is 384 times less work, with exactly the same result.
struct ProjectedKernels {
  struct Kernel {
    at::Tensor taps;  // [rows * height * width, patch width], height and width flipped (see KernelLogits)
    at::Tensor bias;  // [rows]
    std::int64_t height = 0, width = 0;
  };
  std::vector<std::vector<Kernel>> stages;
  std::int64_t rows = 0;

  std::int64_t bytes() const;  // of all its tensors
};

// `rows` [n, text width], in the kernels' dtype.
ProjectedKernels ProjectKernels(const MmciKernels& kernels, const at::Tensor& rows);

// C_j(P_i) . rows for every kernel j of one stage: [kernels, rows, grid, grid], of `patches` [grid * grid,
// patch width].
at::Tensor KernelLogits(const std::vector<ProjectedKernels::Kernel>& stage, const at::Tensor& patches);

// ---- `released` --------------------------------------------------------------------------------
// The released code adds up the outputs of a stage's kernels and only then normalises. A sum of convolutions
// is the convolution with the sum of the kernels, each laid centred into the largest: 1x1 + 3x3 + 5x5 + 7x7 +
// 1x5 + 5x1 becomes one 7x7, 94 -> 49 taps.
struct FoldedKernels {
  at::Tensor weight;  // [stages * text width, patch width, height, width]
  at::Tensor bias;    // [stages * text width]
  std::int64_t stages = 0;
};

FoldedKernels FoldKernels(const MmciKernels& kernels);

// Sums of the kernels' outputs per stage, before any normalisation: [grid * grid, text width] each. `patches`
// holds one tensor [grid * grid, patch width] per stage; where all stages share one tensor (released: always,
// spec section 9.1) they are computed in a single convolution.
std::vector<at::Tensor> Convolve(const FoldedKernels& folded, const std::vector<at::Tensor>& patches);

}  // namespace filo::model
