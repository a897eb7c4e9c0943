#include "server/bundle/float_convert.h"

#include <bit>
#include <cmath>
#include <cstring>

#include "fmt/format.h"
#include "server/base/half.h"

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
