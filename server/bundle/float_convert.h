// Between the floating-point types that tensors are stored in. Rounds to nearest, ties to even.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "server/bundle/tensor_file.h"

namespace filo::bundle {

float BFloat16ToFloat(std::uint16_t value);
std::uint16_t FloatToBFloat16(float value);

bool IsFloat(DType dtype);

// The element at `at`, which need not be aligned. `dtype` is one of the four floating-point types.
double LoadFloat(DType dtype, const std::byte* at);

// `bytes` of `from` rewritten as `to`, both floating-point. kInvalidArgument, without the tensor's name, if a
// value is NaN or infinite, or finite but too large for `to`: "holds NaN or infinity at element 7".
absl::StatusOr<std::vector<std::byte>> ConvertFloats(DType from, std::span<const std::byte> bytes, DType to);

}  // namespace filo::bundle
