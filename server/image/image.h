// A decoded photograph. Plain value; thread-compatible.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace filo::image {

// The pixel modes that matter to the arithmetic, named as Pillow names them: official CLIP preprocessing
// resizes in the file's own mode and converts afterwards (spec section 5), so the mode must survive decoding.
enum class Mode { kBilevel, kGray, kGrayAlpha, kGray16, kPalette, kPaletteAlpha, kRgb, kRgba, kCmyk };

// uint8 RGB, row-major HWC without padding.
struct RgbImage {
  int height = 0;
  int width = 0;
  std::vector<std::uint8_t> pixels;  // height * width * 3
};

struct Image {
  int height = 0;
  int width = 0;
  Mode mode = Mode::kRgb;
  // Row-major, channels interleaved, no padding. kBilevel: one byte a pixel, 0 or 255. kGray16: uint16 in
  // native byte order, two bytes a pixel. kCmyk: as Pillow holds it (inverted Adobe files already corrected).
  std::vector<std::uint8_t> pixels;
  std::vector<std::uint8_t> palette;        // kPalette*: 256 RGB triples
  std::vector<std::uint8_t> palette_alpha;  // kPaletteAlpha: 256 values
  std::vector<std::string> warnings;        // e.g. "the JPEG end marker is missing"
  // EXIF or TIFF orientation, 1..8, as the file states it (1 = upright or unstated). Never applied: every
  // coordinate and every pixel of this server is in the frame of the stored rows and columns.
  int orientation = 1;
};

}  // namespace filo::image
