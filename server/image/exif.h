// The one EXIF field that this server reads.
#pragma once

#include <cstddef>
#include <span>

namespace filo::image {

// Orientation (tag 0x0112, 1..8) out of an EXIF block that begins with its TIFF header ("II*\0" or "MM\0*").
// 1 when it is absent, out of range or the block is damaged: metadata never makes an image unreadable.
int ExifOrientation(std::span<const std::byte> exif);

}  // namespace filo::image
