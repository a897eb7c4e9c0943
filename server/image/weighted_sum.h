// The inner loop of Pillow's 8-bit resampling. Internal to server/image.
#pragma once

#include <cstddef>
#include <cstdint>

namespace filo::image {

// Bits of a fixed-point weight behind the point: 32 less 8 of the pixel and 2 for sign and overshoot.
inline constexpr int kWeightBits = 32 - 8 - 2;

// out[i] = clamp((2^21 + sum over k < count of in[k * step + i] * weights[k]) >> 22, 0, 255) for i < lanes,
// in 32-bit integers: the same bytes on every processor. Uses AVX2 where there is one.
void WeightedSum(const std::uint8_t* in, std::size_t step, const std::int32_t* weights, int count,
                 std::size_t lanes, std::uint8_t* out);

}  // namespace filo::image
