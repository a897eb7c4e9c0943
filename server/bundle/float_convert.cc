#include "server/bundle/float_convert.h"

#include <bit>
#include <cmath>
#include <cstring>

#include "fmt/format.h"

namespace filo::bundle {
namespace {

template <typename T>
T Load(const std::byte* at) {
  T value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

void Store(DType dtype, double value, std::byte* at) {
  const float narrow = static_cast<float>(value);
  std::uint16_t half = 0;
  switch (dtype) {
    case DType::kF64:
      std::memcpy(at, &value, sizeof value);
      return;
    case DType::kF32:
      std::memcpy(at, &narrow, sizeof narrow);
      return;
    case DType::kF16:
      half = FloatToHalf(narrow);
      break;
    default:
      half = FloatToBFloat16(narrow);
  }
  std::memcpy(at, &half, sizeof half);
}

}  // namespace

float HalfToFloat(std::uint16_t half) {
  const std::uint32_t sign = (half & 0x8000u) << 16;
  const std::uint32_t exponent = (half >> 10) & 31u;
  const std::uint32_t fraction = half & 1023u;
  if (exponent == 0) {  // zero and subnormal: fraction * 2^-24
    return std::bit_cast<float>(std::bit_cast<std::uint32_t>(static_cast<float>(fraction) * 0x1p-24f) | sign);
  }
  const std::uint32_t wide = exponent == 31 ? 255 : exponent + 112;
  return std::bit_cast<float>(sign | wide << 23 | fraction << 13);
}

std::uint16_t FloatToHalf(float value) {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t sign = (bits >> 16) & 0x8000u;
  const std::uint32_t magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) return static_cast<std::uint16_t>(sign | 0x7e00u);
  if (magnitude >= 0x477ff000u) return static_cast<std::uint16_t>(sign | 0x7c00u);  // from 65520 on
  if (magnitude < 0x38800000u) {
    // Subnormal: adding 0.5 leaves exactly the last place of 2^-24 in the float's fraction, rounded by the
    // addition.
    const float shifted = std::bit_cast<float>(magnitude) + 0.5f;
    return static_cast<std::uint16_t>(sign | (std::bit_cast<std::uint32_t>(shifted) - 0x3f000000u));
  }
  const std::uint32_t odd = (magnitude >> 13) & 1u;
  return static_cast<std::uint16_t>(sign | ((magnitude - 0x38000000u + 0xfffu + odd) >> 13));
}

float BFloat16ToFloat(std::uint16_t value) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(value) << 16);
}

std::uint16_t FloatToBFloat16(float value) {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return static_cast<std::uint16_t>(bits >> 16 | 0x40u);
  return static_cast<std::uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

bool IsFloat(DType dtype) {
  return dtype == DType::kF16 || dtype == DType::kBF16 || dtype == DType::kF32 || dtype == DType::kF64;
}

double LoadFloat(DType dtype, const std::byte* at) {
  switch (dtype) {
    case DType::kF64:
      return Load<double>(at);
    case DType::kF32:
      return Load<float>(at);
    case DType::kF16:
      return HalfToFloat(Load<std::uint16_t>(at));
    default:
      return BFloat16ToFloat(Load<std::uint16_t>(at));
  }
}

absl::StatusOr<std::vector<std::byte>> ConvertFloats(DType from, std::span<const std::byte> bytes, DType to) {
  const std::size_t in = DTypeBytes(from);
  const std::size_t out = DTypeBytes(to);
  const std::size_t count = bytes.size() / in;
  std::vector<std::byte> result(count * out);
  for (std::size_t i = 0; i < count; ++i) {
    const double value = LoadFloat(from, bytes.data() + i * in);
    if (!std::isfinite(value)) {
      return absl::InvalidArgumentError(
          fmt::format("holds {} at element {}", std::isnan(value) ? "NaN" : "infinity", i));
    }
    Store(to, value, result.data() + i * out);
    if (!std::isfinite(LoadFloat(to, result.data() + i * out))) {
      return absl::InvalidArgumentError(
          fmt::format("holds {} at element {}, too large for {}", value, i, DTypeName(to)));
    }
  }
  return result;
}

}  // namespace filo::bundle
