// From pixels to what a tower reads.
#pragma once

#include <cstdint>
#include <span>

#include "ATen/ATen.h"
#include "server/bundle/manifest.h"

namespace filo::model {

// (rgb / 255 - mean) / std of `height` x `width` pixels, uint8 RGB row-major HWC: [1, 3, height, width].
// Computed in float on the CPU, then brought to `device` and `dtype`.
at::Tensor NormalisedInput(std::span<const std::uint8_t> rgb, std::int64_t height, std::int64_t width,
                           const bundle::Normalisation& normalisation, at::Device device,
                           at::ScalarType dtype);

}  // namespace filo::model
