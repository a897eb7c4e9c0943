// Cutting large images into overlapping tiles, and putting the tiles' maps together again. Pure geometry,
// thread-safe.
//
// A tile's map counts fully except near those of its edges where another tile takes over; there it fades out
// over a quarter of the overlap. The merged value is the largest of the faded ones. So the merged map is
// continuous across seams, it is nowhere below a map that counts fully, and a defect no larger than half the
// overlap lies, whole, where at least one tile counts fully.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "server/image/geometry.h"
#include "server/image/image.h"
#include "server/image/map_codec.h"

namespace filo::image {

struct TilingOptions {
  int tile_size = 0;  // side of a square tile, original pixels, at least 64
  int overlap = 0;    // least overlap of neighbours, original pixels, 0 <= overlap < tile_size / 2
  int max_tiles = 256;
};

// Tiles row by row, left to right, evenly spread, the outer ones flush with the image's edges. A side not
// longer than tile_size is not cut (the tile is then as long as the image). Errors (kInvalidArgument, fields
// "tile_size", "overlap"): options out of range, more tiles than max_tiles.
absl::StatusOr<std::vector<PixelBox>> PlanTiles(int image_height, int image_width,
                                                const TilingOptions& options);

// The pixels of one tile in the image's own mode. `tile` lies inside the image.
Image CutTile(const Image& image, const PixelBox& tile);

struct MapSize {
  int height = 0;
  int width = 0;
};

// How large the merged map should be so that nothing of the tiles' maps (map_side values over tile_size
// pixels) is lost: the image's size times map_side / tile_size, at most the image's size, and scaled down
// evenly beyond max_values.
MapSize MergedSize(int image_height, int image_width, int tile_size, int map_side,
                   std::int64_t max_values = std::int64_t{1} << 24);

// `maps[i]` covers `tiles[i]`; sampled bilinearly between pixel centres. The result covers the whole image.
// Values are at least 0. Errors (kInvalidArgument): no tiles, numbers that differ, a tile outside the image,
// a map whose values do not fit its sides, sides of the result below 1, a point of the result that no tile
// covers.
absl::StatusOr<FloatMap> MergeMaps(const std::vector<PixelBox>& tiles, const std::vector<FloatMap>& maps,
                                   int image_height, int image_width, const MapSize& size);

}  // namespace filo::image
