#include "server/model/grounding/position_encoding.h"

#include <cmath>

namespace filo::model {
namespace {

constexpr double kTwoPi = 6.283185307179586;

// temperature^(2 * floor(i / 2) / channels), i = 0 .. channels - 1, float32.
at::Tensor Wavelengths(std::int64_t channels, double temperature, at::Device device) {
  const at::Tensor index = at::arange(channels, at::dtype(at::kFloat).device(device));
  return at::pow(temperature, 2 * at::floor_divide(index, 2) / static_cast<double>(channels));
}

// sin of the even, cos of the odd channels, interleaved as they were.
at::Tensor SinCos(const at::Tensor& angles) {
  return at::stack({angles.slice(-1, 0, c10::nullopt, 2).sin(), angles.slice(-1, 1, c10::nullopt, 2).cos()},
                   -1)
      .flatten(-2);
}

}  // namespace

at::Tensor ImagePositions(std::int64_t rows, std::int64_t columns, std::int64_t width,
                          const at::TensorOptions& options) {
  constexpr double kTemperature = 20;
  constexpr double kEpsilon = 1e-6;
  const std::int64_t half = width / 2;
  const at::Tensor wavelengths = Wavelengths(half, kTemperature, options.device());
  // The encoding is separable: one table per axis, repeated along the other.
  const auto axis = [&](std::int64_t length) {
    const at::Tensor position = at::arange(1, length + 1, options.dtype(at::kFloat));
    const at::Tensor angle = position / (static_cast<double>(length) + kEpsilon) * kTwoPi;
    return SinCos(angle.unsqueeze(1) / wavelengths).to(options.dtype());
  };
  const at::Tensor y = axis(rows).unsqueeze(1).expand({rows, columns, half});
  const at::Tensor x = axis(columns).unsqueeze(0).expand({rows, columns, half});
  return at::cat({y, x}, -1).flatten(0, 1);
}

at::Tensor TextPositions(const at::Tensor& position_ids, std::int64_t width,
                         const at::TensorOptions& options) {
  constexpr double kTemperature = 10000;
  const at::Tensor wavelengths = Wavelengths(width, kTemperature, options.device());
  return SinCos((position_ids.to(at::kFloat) * kTwoPi).unsqueeze(-1) / wavelengths).to(options.dtype());
}

at::Tensor BoxPositions(const at::Tensor& boxes, std::int64_t width) {
  constexpr double kTemperature = 10000;
  const at::Tensor wavelengths = Wavelengths(width / 2, kTemperature, boxes.device()).to(boxes.dtype());
  const auto part = [&](std::int64_t coordinate) {
    return SinCos((boxes.select(-1, coordinate) * kTwoPi).unsqueeze(-1) / wavelengths);
  };
  return at::cat({part(1), part(0), part(2), part(3)}, -1);
}

}  // namespace filo::model
