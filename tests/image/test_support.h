// Helpers of the image tests.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "server/image/image.h"

namespace filo::image::testing {

using Buffer = std::vector<std::byte>;

// The whole file; throws when it cannot be read.
Buffer ReadFile(const std::string& path);

// Lower-case hex SHA-256.
std::string Sha256(std::span<const std::uint8_t> bytes);

Buffer ToBuffer(std::span<const std::uint8_t> bytes);

}  // namespace filo::image::testing
