#include "server/image/tiling.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstring>
#include <string>

#include "fmt/format.h"
#include "server/base/status.h"
#include "server/image/resize.h"

namespace filo::image {
namespace {

constexpr int kLeastTile = 64;

// Starts of the tiles along one side.
std::vector<int> Starts(std::int64_t side, std::int64_t tile, std::int64_t overlap) {
  if (side <= tile) return {0};
  const std::int64_t step = tile - overlap;
  const std::int64_t count = (side - overlap + step - 1) / step;
  std::vector<int> starts;
  for (std::int64_t i = 0; i < count; ++i)
    starts.push_back(static_cast<int>((side - tile) * i / (count - 1)));
  return starts;
}

// Along one axis: where a merged position lies in a tile's map, and how much the tile counts there.
struct Sample {
  int index = 0;  // of the merged map
  int low = 0, high = 0;
  float fraction = 0;
  float weight = 0;
};

// The stretch over which a tile [begin, end) fades at either end; 0 = it does not.
struct Fade {
  double at_begin = 0;
  double at_end = 0;
};

std::vector<Sample> Samples(int begin, int end, const Fade& fade, int image_side, int map_side,
                            int merged_side) {
  std::vector<Sample> samples;
  const double scale = static_cast<double>(image_side) / merged_side;
  const double to_map = static_cast<double>(map_side) / (end - begin);
  const int first = static_cast<int>(std::max(0.0, std::floor(begin / scale - 1)));
  for (int i = first; i < merged_side; ++i) {
    const double edge = (i + 0.5) * scale;  // of the image, pixel 0 beginning at 0
    if (edge < begin) continue;
    if (edge > end) break;
    const double position = std::clamp((edge - begin) * to_map - 0.5, 0.0, map_side - 1.0);
    Sample sample;
    sample.index = i;
    sample.low = static_cast<int>(position);
    sample.high = std::min(sample.low + 1, map_side - 1);
    sample.fraction = static_cast<float>(position - sample.low);
    double weight = 1;
    if (fade.at_begin > 0) weight = std::min(weight, (edge - begin) / fade.at_begin);
    if (fade.at_end > 0) weight = std::min(weight, (end - edge) / fade.at_end);
    sample.weight = static_cast<float>(weight);
    samples.push_back(sample);
  }
  return samples;
}

// A quarter of the overlap with the neighbour that overlaps least, on either side of the tile, along one
// axis.
Fade FadeOf(int begin, int end, const std::vector<PixelBox>& tiles, bool columns) {
  int before = 0, after = 0;  // smallest overlaps found, 0 = none yet
  for (const PixelBox& other : tiles) {
    const int other_begin = columns ? other.x0 : other.y0;
    const int other_end = columns ? other.x1 : other.y1;
    if (other_begin < begin && other_end > begin) {
      before = before == 0 ? other_end - begin : std::min(before, other_end - begin);
    }
    if (other_end > end && other_begin < end) {
      after = after == 0 ? end - other_begin : std::min(after, end - other_begin);
    }
  }
  return {before / 4.0, after / 4.0};
}

absl::Status Check(const std::vector<PixelBox>& tiles, const std::vector<FloatMap>& maps, int image_height,
                   int image_width, const MapSize& size) {
  if (tiles.empty() || tiles.size() != maps.size() || size.height < 1 || size.width < 1) {
    return absl::InvalidArgumentError(fmt::format("{} maps of {} tiles cannot become one of {} x {}",
                                                  maps.size(), tiles.size(), size.width, size.height));
  }
  for (std::size_t i = 0; i < tiles.size(); ++i) {
    const PixelBox& t = tiles[i];
    const FloatMap& m = maps[i];
    if (t.x0 < 0 || t.y0 < 0 || t.x1 > image_width || t.y1 > image_height || t.x0 >= t.x1 || t.y0 >= t.y1) {
      return absl::InvalidArgumentError(fmt::format("tile {} lies outside the image", i));
    }
    if (m.height < 1 || m.width < 1 || m.values.size() != static_cast<std::size_t>(m.height) * m.width) {
      return absl::InvalidArgumentError(fmt::format("the map of tile {} does not fit its sides", i));
    }
  }
  return absl::OkStatus();
}

void Merge(const FloatMap& map, const std::vector<Sample>& rows, const std::vector<Sample>& columns,
           FloatMap& merged) {
  for (const Sample& row : rows) {
    const float* low = &map.values[static_cast<std::size_t>(row.low) * map.width];
    const float* high = &map.values[static_cast<std::size_t>(row.high) * map.width];
    float* out = &merged.values[static_cast<std::size_t>(row.index) * merged.width];
    for (const Sample& column : columns) {
      const float a = low[column.low] + (low[column.high] - low[column.low]) * column.fraction;
      const float b = high[column.low] + (high[column.high] - high[column.low]) * column.fraction;
      const float value = (a + (b - a) * row.fraction) * row.weight * column.weight;
      out[column.index] = std::max(out[column.index], value);
    }
  }
}

}  // namespace

absl::StatusOr<std::vector<PixelBox>> PlanTiles(int image_height, int image_width,
                                                const TilingOptions& options) {
  if (options.tile_size < kLeastTile) {
    return FieldError("tile_size", std::to_string(options.tile_size),
                      fmt::format("be at least {}", kLeastTile));
  }
  if (options.overlap < 0 || options.overlap >= (options.tile_size + 1) / 2) {
    return FieldError("overlap", std::to_string(options.overlap),
                      fmt::format("be 0 or more and less than half of the tile size, {}", options.tile_size));
  }
  const std::vector<int> columns = Starts(image_width, options.tile_size, options.overlap);
  const std::vector<int> rows = Starts(image_height, options.tile_size, options.overlap);
  if (columns.size() * rows.size() > static_cast<std::size_t>(options.max_tiles)) {
    return FieldError("tile_size", std::to_string(options.tile_size),
                      fmt::format("cut an image of {} x {} pixels into at most {} tiles, not {}", image_width,
                                  image_height, options.max_tiles, columns.size() * rows.size()));
  }
  std::vector<PixelBox> tiles;
  for (int y : rows) {
    for (int x : columns) {
      tiles.push_back({x, y, std::min(x + options.tile_size, image_width),
                       std::min(y + options.tile_size, image_height)});
    }
  }
  return tiles;
}

Image CutTile(const Image& image, const PixelBox& tile) {
  Image cut;
  cut.height = tile.y1 - tile.y0;
  cut.width = tile.x1 - tile.x0;
  cut.mode = image.mode;
  cut.palette = image.palette;
  cut.palette_alpha = image.palette_alpha;
  cut.orientation = image.orientation;
  const std::size_t pixel = BytesPerPixel(image.mode);
  const std::size_t row_bytes = cut.width * pixel;
  cut.pixels.resize(row_bytes * cut.height);
  for (int y = 0; y < cut.height; ++y) {
    std::memcpy(&cut.pixels[y * row_bytes],
                &image.pixels[(static_cast<std::size_t>(tile.y0 + y) * image.width + tile.x0) * pixel],
                row_bytes);
  }
  return cut;
}

MapSize MergedSize(int image_height, int image_width, int tile_size, int map_side, std::int64_t max_values) {
  double scale = std::min(1.0, static_cast<double>(map_side) / tile_size);
  const double values = scale * image_height * scale * image_width;
  if (values > static_cast<double>(max_values)) scale *= std::sqrt(static_cast<double>(max_values) / values);
  return {std::max(1, static_cast<int>(image_height * scale)),
          std::max(1, static_cast<int>(image_width * scale))};
}

absl::StatusOr<FloatMap> MergeMaps(const std::vector<PixelBox>& tiles, const std::vector<FloatMap>& maps,
                                   int image_height, int image_width, const MapSize& size) {
  FILO_RETURN_IF_ERROR(Check(tiles, maps, image_height, image_width, size));
  FloatMap merged{size.height, size.width,
                  std::vector<float>(static_cast<std::size_t>(size.height) * size.width, -1.0f)};
  for (std::size_t i = 0; i < tiles.size(); ++i) {
    const PixelBox& tile = tiles[i];
    const auto columns = Samples(tile.x0, tile.x1, FadeOf(tile.x0, tile.x1, tiles, true), image_width,
                                 maps[i].width, size.width);
    const auto rows = Samples(tile.y0, tile.y1, FadeOf(tile.y0, tile.y1, tiles, false), image_height,
                              maps[i].height, size.height);
    Merge(maps[i], rows, columns, merged);
  }
  if (std::find(merged.values.begin(), merged.values.end(), -1.0f) != merged.values.end()) {
    return absl::InvalidArgumentError("the tiles do not cover the whole image");
  }
  return merged;
}

}  // namespace filo::image
