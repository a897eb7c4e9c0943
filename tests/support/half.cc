#include "tests/support/half.h"

#include <cmath>
#include <limits>

namespace filo::support {

std::uint16_t FloatToHalf(float value) {
  const std::uint16_t sign = std::signbit(value) ? 0x8000 : 0;
  const double magnitude = std::fabs(static_cast<double>(value));
  if (std::isnan(value)) return static_cast<std::uint16_t>(sign | 0x7e00);
  if (magnitude == 0) return sign;
  if (magnitude >= 65520.0) return static_cast<std::uint16_t>(sign | 0x7c00);
  int exponent = 0;
  std::frexp(magnitude, &exponent);               // magnitude in [2^(exponent-1), 2^exponent)
  const int unit = std::max(exponent - 11, -24);  // value of the last place; subnormals share 2^-24
  // Exact: a float has at most 24 bits. nearbyint rounds ties to even in the default mode.
  const double steps = std::nearbyint(std::ldexp(magnitude, -unit));
  const int field = unit + 24;  // biased exponent minus one, because the leading bit of `steps` adds one
  return static_cast<std::uint16_t>(sign + field * 1024 + static_cast<int>(steps));
}

float HalfToFloat(std::uint16_t half) {
  const int exponent = (half >> 10) & 31;
  const int fraction = half & 1023;
  double value = exponent == 31  ? (fraction ? std::numeric_limits<double>::quiet_NaN()
                                             : std::numeric_limits<double>::infinity())
                 : exponent == 0 ? std::ldexp(fraction, -24)
                                 : std::ldexp(1024 + fraction, exponent - 25);
  return static_cast<float>(half & 0x8000 ? -value : value);
}

}  // namespace filo::support
