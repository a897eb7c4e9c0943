// Any bytes at all as an encoded image: refused with kInvalidArgument, or decoded to exactly what the header
// promised.
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <span>

#include "server/image/decode.h"
#include "server/image/resize.h"

namespace {

void Demand(bool condition, const char* what) {
  if (condition) return;
  std::fprintf(stderr, "violated: %s\n", what);
  std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using filo::image::Mode;
  const auto bytes = std::as_bytes(std::span(data, size));
  const filo::image::DecodeLimits limits{.max_bytes = 1 << 20, .max_pixels = 1 << 20, .max_side = 4096};
  const auto header = filo::image::ReadHeader(bytes, limits);
  const auto image =
      filo::image::Decode(bytes, limits, {.significant_bits = 0, .gray16 = filo::image::Gray16::kPillow});
  if (!image.ok()) {
    Demand(image.status().code() == absl::StatusCode::kInvalidArgument, "a refusal is kInvalidArgument");
    return 0;
  }
  Demand(header.ok(), "what decodes has a header");
  Demand(header->height == image->height && header->width == image->width && header->mode == image->mode,
         "the image is what its header promised");
  Demand(image->pixels.size() ==
             static_cast<std::size_t>(image->height) * image->width * filo::image::BytesPerPixel(image->mode),
         "the pixels fit the sides");
  const bool palette = image->mode == Mode::kPalette || image->mode == Mode::kPaletteAlpha;
  Demand(image->palette.size() == (palette ? 768u : 0u), "palettes have 256 colours");
  Demand(filo::image::ConvertToRgb(*image).pixels.size() ==
             static_cast<std::size_t>(image->height) * image->width * 3,
         "every mode converts to RGB");
  return 0;
}
