// The map drawn over the photograph, for people. Pure functions, thread-safe.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "absl/status/statusor.h"
#include "server/image/image.h"
#include "server/image/map_codec.h"

namespace filo::image {

enum class ColourMap { kInferno, kViridis, kTurbo };

// "inferno", "viridis", "turbo".
const char* ColourMapName(ColourMap colour_map);

enum class OverlayFormat { kJpeg, kPng };  // JPEG of quality 90

// A rectangle with a label, original pixels, half-open.
struct OverlayBox {
  float x0 = 0, y0 = 0, x1 = 0, y1 = 0;
  std::string label;   // printable ASCII is drawn, every other character as "?"
  bool counts = true;  // drawn in red; in gray otherwise
};

struct OverlayOptions {
  OverlayFormat format = OverlayFormat::kJpeg;
  ColourMap colour_map = ColourMap::kInferno;
  float opacity = 0.5f;  // weight of the map, [0, 1]
  int max_side = 0;      // longest side of the result, pixels; 0 = as the photograph. Never enlarged.
};

// The map covers the whole photograph. Colours are those of the fixed range, so that two overlays can be
// compared. Errors: kInvalidArgument for an opacity outside [0, 1], a max_side below 0, or a map, range or
// photograph that is empty or does not fit its sides; kInternal for a value that is no number or a failure
// inside OpenCV.
absl::StatusOr<std::string> DrawOverlay(const RgbImage& photograph, const FloatMap& map, ValueRange range,
                                        std::span<const OverlayBox> boxes, const OverlayOptions& options);

}  // namespace filo::image
