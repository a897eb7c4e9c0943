// Gray PNG files.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "absl/status/statusor.h"

namespace filo::image {

// `rows`: height rows of (width * bit_depth + 7) / 8 bytes each, as PNG wants them: 16 bits big-endian, 1 bit
// with the leftmost pixel in the highest bit. bit_depth is 1, 8 or 16. The result is the same for the same
// input. Errors: kInvalidArgument when a side is 0 or the rows do not fit; kInternal for a failure inside
// libpng.
absl::StatusOr<std::string> WriteGrayPng(int height, int width, int bit_depth,
                                         std::span<const std::uint8_t> rows);

}  // namespace filo::image
