// Where to look: polygons that are inspected or ignored, and crops. Pure functions, thread-safe.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/image/geometry.h"
#include "server/image/image.h"

namespace filo::image {

// Polygons in original pixels.
struct RegionOfInterest {
  std::vector<Polygon> inspect;  // only these; empty = the whole image
  std::vector<Polygon> ignore;   // never these; they win over `inspect`

  bool whole() const { return inspect.empty() && ignore.empty(); }
};

// 3 to 1000 finite corners, not crossing itself, with an area, and not entirely outside the image. `field`
// names the polygon in the error (kInvalidArgument).
absl::Status CheckPolygon(const Polygon& polygon, int image_height, int image_width, std::string_view field);

// Which pixels of a map over the whole image are inspected: 1 or 0 each, row-major. A map pixel belongs to a
// polygon when its centre does (even-odd rule). Errors: those of CheckPolygon on "inspect[i]" or "ignore[i]";
// kInvalidArgument on "inspect" when not one map pixel remains.
absl::StatusOr<std::vector<std::uint8_t>> RasteriseRoi(const RegionOfInterest& roi, int image_height,
                                                       int image_width, int map_height, int map_width);

// A rectangle to cut out and set upright.
struct CropBox {
  Point centre;      // original pixels
  double width = 0;  // original pixels, along the rectangle's own axes
  double height = 0;
  double degrees = 0;  // clockwise turn of the rectangle in the image
};

struct Crop {
  RgbImage image;   // round(width) x round(height) pixels
  Affine to_image;  // crop positions to original pixels
};

// An upright crop on whole pixels is a copy; any other is bilinear between pixel centres. Errors
// (kInvalidArgument, field "crop"): sides below 1 or beyond twice the image's diagonal, numbers that are not
// finite, a corner that lies more than half a pixel outside the image (there is nothing to see there).
absl::StatusOr<Crop> CutOut(const RgbImage& image, const CropBox& box);

}  // namespace filo::image
