#include "server/image/exif.h"

#include <cstdint>

#include "server/image/codec.h"

namespace filo::image {

int ExifOrientation(std::span<const std::byte> exif) {
  constexpr std::uint32_t kOrientation = 0x0112;
  constexpr std::uint32_t kShort = 3;
  if (exif.size() < 8) return 1;
  const bool little = Holds(exif, 0, std::string_view("II*\0", 4));
  if (!little && !Holds(exif, 0, std::string_view("MM\0*", 4))) return 1;
  const auto u16 = [&](std::size_t at) { return little ? Little16(exif, at) : Big16(exif, at); };
  const std::size_t directory = little ? Little32(exif, 4) : Big32(exif, 4);
  if (directory > exif.size() - 2) return 1;
  const std::size_t entries = u16(directory);
  for (std::size_t i = 0; i < entries; ++i) {
    const std::size_t entry = directory + 2 + i * 12;
    if (entry + 12 > exif.size()) return 1;
    if (u16(entry) != kOrientation) continue;
    if (u16(entry + 2) != kShort) return 1;
    const std::uint32_t value = u16(entry + 8);
    return value >= 1 && value <= 8 ? static_cast<int>(value) : 1;
  }
  return 1;
}

}  // namespace filo::image
