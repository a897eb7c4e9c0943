// IEEE 754 binary16 in the tests, written apart from the product's own conversion.
#pragma once

#include <cstdint>

namespace filo::support {

// Rounded to nearest, ties to even; too large becomes infinity.
std::uint16_t FloatToHalf(float value);
float HalfToFloat(std::uint16_t half);

}  // namespace filo::support
