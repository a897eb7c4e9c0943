// The map above a threshold as regions and as a mask, both in original pixels and never at odds with each
// other or with the map's maximum. Pure functions, thread-safe.
//
// Everything comes from one set of map pixels: those that are inspected and at or above the threshold. So
// there is a region, and a pixel of the mask, exactly when the largest inspected value reaches the threshold
// (and its region is not smaller than the minimum area). An image with fewer pixels than the map keeps, for
// each pixel, the largest value of the map pixels whose centres fall into it.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "server/image/geometry.h"
#include "server/image/map_codec.h"
#include "server/image/mask.h"

namespace filo::image {

enum class Severity { kLow, kMedium, kHigh };

struct Region {
  Polygon
      outline;  // outer border along pixel edges, clockwise as seen, at most 1000 corners (simplified beyond)
  PixelBox box;         // original pixels
  double area = 0;      // original pixels, holes not counted
  float peak = 0;       // largest map value inside
  Point peak_position;  // original pixels: the centre of that map pixel
  double mean = 0;      // mean map value inside, weighted by original pixels
  Severity severity = Severity::kLow;
};

struct RegionOptions {
  float threshold = 0.5f;   // map value from which a pixel belongs to a region
  float top = 1.0f;         // end of the map's range, where severity is 100 %
  double minimum_area = 0;  // original pixels; smaller regions are dropped from list and mask alike
  int max_regions = 0;      // most to list, best first; 0 = all. The mask holds them all.
};

struct RegionSet {
  std::vector<Region> regions;  // by peak, largest first; then by area, largest first
  int unlisted = 0;             // regions beyond max_regions
  Mask mask;                    // the union of the regions, unlisted ones included
  float max = 0;                // largest inspected value of the map, regions or not
  Point max_position;           // original pixels
  int dropped = 0;              // regions smaller than the minimum area
  float kept_max = 0;           // largest inspected value outside dropped regions: what a verdict goes by
};

// `inspected`: RasteriseRoi's result for this map, or empty for all of it. Regions are 8-connected. Errors
// (kInvalidArgument): sides that are not positive or do not fit, a value that is not finite, nothing
// inspected.
absl::StatusOr<RegionSet> FindRegions(const FloatMap& map, std::span<const std::uint8_t> inspected,
                                      int image_height, int image_width, const RegionOptions& options);

// By the peak's place between threshold (0 %) and top (100 %): below 33 % low, above 67 % high.
Severity SeverityOf(float peak, float threshold, float top);

}  // namespace filo::image
