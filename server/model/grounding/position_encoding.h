// Sine position encodings of Grounding DINO (spec section 10). Computed in float32 as the reference does,
// whatever the model's type, and cast afterwards. Pure functions, thread-safe.
#pragma once

#include <cstdint>

#include "ATen/ATen.h"

namespace filo::model {

// [rows * columns, width] of a feature map, row-major: first half of the channels y, second half x;
// temperature 20, positions 1 .. n scaled to 2 pi.
at::Tensor ImagePositions(std::int64_t rows, std::int64_t columns, std::int64_t width,
                          const at::TensorOptions& options);

// [batch, tokens, width] of int64 position ids [batch, tokens]; temperature 10000.
at::Tensor TextPositions(const at::Tensor& position_ids, std::int64_t width,
                         const at::TensorOptions& options);

// [..., 2 * width] of boxes [..., 4] (cx, cy, w, h in [0, 1]): width / 2 channels each for y, x, w, h;
// temperature 10000. Differentiable in the boxes.
at::Tensor BoxPositions(const at::Tensor& boxes, std::int64_t width);

}  // namespace filo::model
