// IEEE 754 binary16, the half floats of tensor files and map encodings. Pure functions, thread-safe.
#pragma once

#include <cstdint>

namespace filo {

float HalfToFloat(std::uint16_t half);
// To nearest, ties to even; from 65520 on infinity; NaN stays NaN.
std::uint16_t FloatToHalf(float value);

}  // namespace filo
