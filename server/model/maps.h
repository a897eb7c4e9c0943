// From head outputs to the anomaly map, and from the map to the scores (spec sections 7 and 8).
//
// Pure functions of tensors; thread-safe; differentiable except where said. Maps are float, [height, width]
// or [channels, height, width]; channel 0 is normal, 1 abnormal.
#pragma once

#include <cstdint>
#include <vector>

#include "ATen/ATen.h"
#include "server/bundle/manifest.h"
#include "server/model/trace.h"

namespace filo::model {

// [channels, g, g] -> [channels, size, size], bilinear with align_corners = true.
at::Tensor Upsample(const at::Tensor& grid, std::int64_t size);

// The Gaussian filter of the released code (torchvision's GaussianBlur): weights exp(-x^2 / 2 sigma^2) over
// `size` (odd) pixels, normalised, reflected at the border without repeating the edge. [channels, height,
// width]; `size` / 2 must be smaller than both sides.
at::Tensor GaussianBlur(const at::Tensor& maps, std::int64_t size, double sigma);

// Norm of the paper: (x - min) / (max - min) over each channel alone. A constant channel becomes 0.
at::Tensor MinMaxNormalise(const at::Tensor& maps);

// ---- `paper` -----------------------------------------------------------------------------------
// Norm(sum_j softmax(logits_j)) of one stage at the patch grid: [kernels, 2, g, g] -> [2, g, g].
// Trace: paper.stageK.kernel_logits|sum_softmax|norm with K = `stage`.
at::Tensor StageMap(const at::Tensor& kernel_logits, int stage, Trace* trace);

// M = G_sigma(M^a + 1 - M^n) / 2 with M^n = Norm(sum_i Up(stage map i)), M^a likewise: [size, size] in [0,
// 1]. Trace: paper.M_n, paper.M_a, paper.M.
at::Tensor PaperMap(const std::vector<at::Tensor>& stage_maps, std::int64_t size, const bundle::Heads& heads,
                    Trace* trace);

// ---- `released` --------------------------------------------------------------------------------
// scale * cosine of each patch's head output [patches, text width] with the text rows [2, text width], whose
// norms are taken as they are (1/sqrt(2) each, spec section 9.3): [2, g, g].
at::Tensor CosineLogits(const at::Tensor& head_output, const at::Tensor& rows, double scale);

// The average over heads of G_sigma((a - n + 1) / 2) with [n, a] = softmax(Up(logits)): [size, size] in [0,
// 1]. `logits` [heads, 2, g, g]. Trace: filo.logits_grid, filo.maps_preblur, filo.maps_blur, filo.map_avg.
at::Tensor ReleasedMap(const at::Tensor& logits, std::int64_t size, const bundle::Heads& heads, Trace* trace);

// ---- Text and scores ---------------------------------------------------------------------------
// The direction that stands for a set of prompts: their L2-normalised features [prompts, C] averaged, then
// normalised again: [C].
at::Tensor MeanDirection(const at::Tensor& features);

// [F_n; F_a] divided by its Frobenius norm, so that each row has norm 1/sqrt(2) (`released`, spec
// section 9.3): [2, C].
at::Tensor FrobeniusRows(const at::Tensor& normal, const at::Tensor& abnormal);

// `paper`: softmax(A . rows^T)[a] of the adapted, L2-normalised global feature A [C]. S adds max(M).
double PaperGlobalScore(const at::Tensor& adapted, const at::Tensor& rows);
// `released`: A . F_a with the 1/sqrt(2) row. S = (this + max(M)) / 2.
double ReleasedGlobalScore(const at::Tensor& adapted, const at::Tensor& rows);

}  // namespace filo::model
