#include "server/model/maps.h"

#include <cmath>

#include "fmt/format.h"
#include "server/model/layers.h"

namespace filo::model {

at::Tensor Upsample(const at::Tensor& grid, std::int64_t size) {
  return at::upsample_bilinear2d(grid.unsqueeze(0), {size, size}, /*align_corners=*/true)[0];
}

at::Tensor GaussianBlur(const at::Tensor& maps, std::int64_t size, double sigma) {
  const double reach = static_cast<double>(size - 1) / 2;
  const at::Tensor x = at::linspace(-reach, reach, size, maps.options());
  at::Tensor weights = at::exp(-0.5 * at::pow(x / sigma, 2));
  weights = weights / weights.sum();
  const std::int64_t border = size / 2;
  const at::Tensor padded = at::reflection_pad2d(maps.unsqueeze(1), {border, border, border, border});
  // The filter is the outer product of `weights` with itself: columns first, then rows.
  const at::Tensor columns = at::conv2d(padded, weights.reshape({1, 1, size, 1}));
  return at::conv2d(columns, weights.reshape({1, 1, 1, size})).squeeze(1);
}

at::Tensor MinMaxNormalise(const at::Tensor& maps) {
  const at::Tensor low = at::amin(maps, {-2, -1}, /*keepdim=*/true);
  const at::Tensor range = at::amax(maps, {-2, -1}, /*keepdim=*/true) - low;
  return (maps - low) / at::where(range > 0, range, at::ones_like(range));
}

at::Tensor StageMap(const at::Tensor& kernel_logits, int stage, Trace* trace) {
  const at::Tensor sum = at::softmax(kernel_logits, 1).sum(0);
  const at::Tensor norm = MinMaxNormalise(sum);
  if (trace != nullptr) {
    Record(trace, fmt::format("paper.stage{}.kernel_logits", stage), kernel_logits);
    Record(trace, fmt::format("paper.stage{}.sum_softmax", stage), sum);
    Record(trace, fmt::format("paper.stage{}.norm", stage), norm);
  }
  return norm;
}

at::Tensor PaperMap(const std::vector<at::Tensor>& stage_maps, std::int64_t size, const bundle::Heads& heads,
                    Trace* trace) {
  // Upsampling is linear: the stages are added at the grid and brought to size once.
  const at::Tensor sum = Upsample(at::stack(stage_maps).sum(0), size);
  const at::Tensor normed = MinMaxNormalise(sum);
  const at::Tensor map =
      GaussianBlur((normed[1] + 1 - normed[0]).unsqueeze(0), heads.blur_size, heads.blur_sigma)[0] / 2;
  Record(trace, "paper.M_n", normed[0]);
  Record(trace, "paper.M_a", normed[1]);
  Record(trace, "paper.M", map);
  return map;
}

at::Tensor CosineLogits(const at::Tensor& head_output, const at::Tensor& rows, double scale) {
  const at::Tensor logits = scale * at::matmul(L2Normalise(head_output), rows.t());  // [patches, 2]
  const auto grid = static_cast<std::int64_t>(std::llround(std::sqrt(static_cast<double>(logits.size(0)))));
  return logits.t().reshape({2, grid, grid});
}

at::Tensor ReleasedMap(const at::Tensor& logits, std::int64_t size, const bundle::Heads& heads,
                       Trace* trace) {
  // With n + a = 1, (a - n + 1) / 2 is a itself, and a softmax over two is the sigmoid of their difference.
  // Upsampling is linear, so the difference is taken at the grid.
  const at::Tensor difference = Upsample(logits.select(1, 1) - logits.select(1, 0), size);
  const at::Tensor maps = at::sigmoid(difference);  // [heads, size, size]
  // The blur is linear too: it is applied to the average.
  const at::Tensor average =
      GaussianBlur(maps.mean(0, /*keepdim=*/true), heads.blur_size, heads.blur_sigma)[0];
  if (trace != nullptr) {
    Record(trace, "filo.logits_grid", logits.flatten(2).transpose(1, 2));
    Record(trace, "filo.maps_preblur", maps);
    Record(trace, "filo.maps_blur", GaussianBlur(maps, heads.blur_size, heads.blur_sigma));
    Record(trace, "filo.map_avg", average);
  }
  return average;
}

at::Tensor MeanDirection(const at::Tensor& features) { return L2Normalise(L2Normalise(features).mean(0)); }

at::Tensor FrobeniusRows(const at::Tensor& normal, const at::Tensor& abnormal) {
  const at::Tensor rows = at::stack({normal, abnormal});
  return rows / at::linalg_vector_norm(rows);
}

double PaperGlobalScore(const at::Tensor& adapted, const at::Tensor& rows) {
  return at::softmax(at::mv(rows, adapted).to(at::kDouble), 0)[1].item<double>();
}

double ReleasedGlobalScore(const at::Tensor& adapted, const at::Tensor& rows) {
  return at::dot(rows[1], adapted).item<double>();
}

}  // namespace filo::model
