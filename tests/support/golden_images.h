// The three photographs that the goldens were made from. Test code only.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "server/image/image.h"

namespace filo::support {

inline constexpr const char* kGoldenImages[] = {"good04", "colour00", "synth"};

// The file's bytes, and the decoded image; aborts the test program when it cannot be read.
std::vector<std::byte> GoldenImageBytes(std::string_view name);
image::Image GoldenImage(std::string_view name);

}  // namespace filo::support
