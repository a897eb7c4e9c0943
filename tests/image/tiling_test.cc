#include "server/image/tiling.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "server/base/status.h"
#include "server/image/regions.h"
#include "tests/image/writers.h"

namespace filo::image {
namespace {

constexpr int kMapSide = 130;
constexpr int kDefect = 30;  // pixels

struct Scene {
  int height, width, tile, overlap;
};
// The two image sizes that the product must cope with, and one that fits no multiple of anything.
const Scene kScenes[] = {{3040, 4190, 1036, 128}, {2000, 8000, 1024, 96}, {777, 1501, 300, 70}};

std::vector<PixelBox> Plan(const Scene& scene) {
  auto tiles = PlanTiles(scene.height, scene.width, {.tile_size = scene.tile, .overlap = scene.overlap});
  EXPECT_TRUE(tiles.ok()) << tiles.status();
  return *std::move(tiles);
}

// A stand-in for the pipeline on one tile: it sees a defect only when the whole of it lies in the tile.
FloatMap LookAt(const PixelBox& tile, const PixelBox& defect) {
  FloatMap map{kMapSide, kMapSide, std::vector<float>(kMapSide * kMapSide, 0.1f)};
  if (defect.x0 < tile.x0 || defect.y0 < tile.y0 || defect.x1 > tile.x1 || defect.y1 > tile.y1) return map;
  const auto at = [](int pixel, int begin, int end) {
    return std::clamp((pixel - begin) * kMapSide / (end - begin), 0, kMapSide - 1);
  };
  for (int y = at(defect.y0, tile.y0, tile.y1); y <= at(defect.y1 - 1, tile.y0, tile.y1); ++y) {
    for (int x = at(defect.x0, tile.x0, tile.x1); x <= at(defect.x1 - 1, tile.x0, tile.x1); ++x) {
      map.values[y * kMapSide + x] = 0.9f;
    }
  }
  return map;
}

TEST(Tiling, TilesCoverTheImageAndOverlapEnough) {
  for (const Scene& scene : kScenes) {
    const auto tiles = Plan(scene);
    std::set<int> columns, rows;
    for (const PixelBox& tile : tiles) {
      EXPECT_EQ(tile.x1 - tile.x0, scene.tile);
      EXPECT_EQ(tile.y1 - tile.y0, scene.tile);
      columns.insert(tile.x0);
      rows.insert(tile.y0);
    }
    EXPECT_EQ(columns.size() * rows.size(), tiles.size());
    for (const auto& [starts, side] : {std::pair{columns, scene.width}, std::pair{rows, scene.height}}) {
      EXPECT_EQ(*starts.begin(), 0);
      EXPECT_EQ(*starts.rbegin() + scene.tile, side);
      for (auto it = starts.begin(); std::next(it) != starts.end(); ++it) {
        EXPECT_GE(*it + scene.tile - *std::next(it), scene.overlap);
      }
      // One tile fewer could not cover the side.
      const int fewer = static_cast<int>(starts.size()) - 1;
      EXPECT_LT(fewer * scene.tile - (fewer - 1) * scene.overlap, side);
    }
  }
}

TEST(Tiling, SmallSidesAreNotCut) {
  const auto tiles = PlanTiles(100, 1000, {.tile_size = 300, .overlap = 50});
  ASSERT_TRUE(tiles.ok());
  ASSERT_EQ(tiles->size(), 4u);
  for (const PixelBox& tile : *tiles) EXPECT_EQ(tile.y1 - tile.y0, 100);
  const auto one = PlanTiles(64, 64, {.tile_size = 64, .overlap = 31});
  ASSERT_TRUE(one.ok());
  EXPECT_EQ(one->size(), 1u);
}

TEST(Tiling, BadOptionsAreRefusedByName) {
  const auto field = [](const TilingOptions& options) {
    return GetFieldViolation(PlanTiles(3000, 4000, options).status())
        .value_or(FieldViolation{"none", ""})
        .field;
  };
  EXPECT_EQ(field({.tile_size = 63, .overlap = 0}), "tile_size");
  EXPECT_EQ(field({.tile_size = 200, .overlap = 100}), "overlap");
  EXPECT_EQ(field({.tile_size = 200, .overlap = -1}), "overlap");
  EXPECT_EQ(field({.tile_size = 64, .overlap = 20}), "tile_size");  // thousands of tiles
}

// In every corner of the image, on every edge of every tile, on every crossing of edges: the defect is in the
// merged map at its full height, where it is, and nothing else is.
TEST(Tiling, DefectInEveryCornerAndOnEverySeamIsFound) {
  for (const Scene& scene : kScenes) {
    const auto tiles = Plan(scene);
    const MapSize size = MergedSize(scene.height, scene.width, scene.tile, kMapSide);
    std::set<int> xs, ys;
    for (const PixelBox& tile : tiles) {
      for (int x : {tile.x0, tile.x1}) xs.insert(std::clamp(x - kDefect / 2, 0, scene.width - kDefect));
      for (int y : {tile.y0, tile.y1}) ys.insert(std::clamp(y - kDefect / 2, 0, scene.height - kDefect));
    }
    for (int y : ys) {
      for (int x : xs) {
        const PixelBox defect{x, y, x + kDefect, y + kDefect};
        std::vector<FloatMap> maps;
        for (const PixelBox& tile : tiles) maps.push_back(LookAt(tile, defect));
        const auto merged = MergeMaps(tiles, maps, scene.height, scene.width, size);
        ASSERT_TRUE(merged.ok()) << merged.status();
        const auto found = FindRegions(*merged, {}, scene.height, scene.width, {.threshold = 0.5f});
        ASSERT_TRUE(found.ok());
        ASSERT_EQ(found->regions.size(), 1u) << x << " " << y;
        EXPECT_GT(found->regions[0].peak, 0.85f);
        // As near as the tile's map can tell.
        const double cell = 2.0 * scene.tile / kMapSide;
        EXPECT_NEAR((found->regions[0].box.x0 + found->regions[0].box.x1) / 2.0, x + kDefect / 2.0, cell);
        EXPECT_NEAR((found->regions[0].box.y0 + found->regions[0].box.y1) / 2.0, y + kDefect / 2.0, cell);
      }
    }
  }
}

TEST(Tiling, ASmoothMapComesBackAsItWas) {
  const auto truth = [](double x, double y) { return 0.5 + 0.4 * std::sin(x / 400) * std::cos(y / 300); };
  for (const Scene& scene : kScenes) {
    const auto tiles = Plan(scene);
    std::vector<FloatMap> maps;
    for (const PixelBox& tile : tiles) {
      FloatMap map{kMapSide, kMapSide, {}};
      for (int y = 0; y < kMapSide; ++y) {
        for (int x = 0; x < kMapSide; ++x) {
          map.values.push_back(static_cast<float>(truth(tile.x0 + (x + 0.5) * scene.tile / kMapSide,
                                                        tile.y0 + (y + 0.5) * scene.tile / kMapSide)));
        }
      }
      maps.push_back(map);
    }
    const MapSize size = MergedSize(scene.height, scene.width, scene.tile, kMapSide);
    const auto merged = MergeMaps(tiles, maps, scene.height, scene.width, size);
    ASSERT_TRUE(merged.ok()) << merged.status();
    for (int y = 0; y < size.height; ++y) {
      for (int x = 0; x < size.width; ++x) {
        ASSERT_NEAR(merged->values[y * size.width + x],
                    truth((x + 0.5) * scene.width / size.width, (y + 0.5) * scene.height / size.height), 0.01)
            << y << " " << x;
      }
    }
  }
}

// Tiles that disagree about the background by 0.1: the step must be spread over the fade, not stand at an
// edge.
TEST(Tiling, DisagreeingTilesLeaveNoSeam) {
  for (const Scene& scene : kScenes) {
    const auto tiles = Plan(scene);
    std::vector<FloatMap> maps;
    for (std::size_t i = 0; i < tiles.size(); ++i) {
      maps.push_back(
          {kMapSide, kMapSide, std::vector<float>(kMapSide * kMapSide, i * 7 % 3 == 0 ? 0.2f : 0.3f)});
    }
    const MapSize size{scene.height / 2, scene.width / 2};
    const auto merged = MergeMaps(tiles, maps, scene.height, scene.width, size);
    ASSERT_TRUE(merged.ok());
    const double steepest = 0.3 / (scene.overlap / 4.0) * 2 * 1.05;  // two image pixels a step
    float low = 1, high = 0;
    for (int y = 0; y < size.height; ++y) {
      for (int x = 1; x < size.width; ++x) {
        const float here = merged->values[y * size.width + x];
        low = std::min(low, here);
        high = std::max(high, here);
        ASSERT_LE(std::abs(here - merged->values[y * size.width + x - 1]), steepest) << y << " " << x;
      }
    }
    EXPECT_GE(low, 0.2f);  // nowhere below what a tile that counts fully says
    EXPECT_LE(high, 0.3f);
  }
}

TEST(Tiling, MergedSizeKeepsWhatTheTilesKnowWithinBounds) {
  MapSize size = MergedSize(3040, 4190, 1036, 518);
  EXPECT_EQ(size.height, 1520);
  EXPECT_EQ(size.width, 2095);
  size = MergedSize(300, 400, 100, 518);  // no more than the image has
  EXPECT_EQ(size.height, 300);
  size = MergedSize(8000, 8000, 518, 518, 1 << 20);
  EXPECT_NEAR(size.height, 1024, 1);
  EXPECT_NEAR(size.width, 1024, 1);
}

TEST(Tiling, MergingRefusesWhatDoesNotFit) {
  const std::vector<PixelBox> left = {{0, 0, 60, 100}};
  const std::vector<FloatMap> map = {{2, 2, {0, 0, 0, 0}}};
  EXPECT_FALSE(MergeMaps(left, map, 100, 100, {10, 10}).ok());  // the right side is missing
  EXPECT_FALSE(MergeMaps({}, {}, 100, 100, {10, 10}).ok());
  EXPECT_FALSE(MergeMaps({{0, 0, 101, 100}}, map, 100, 100, {10, 10}).ok());
  EXPECT_FALSE(MergeMaps({{0, 0, 100, 100}}, {{2, 2, {0, 0}}}, 100, 100, {10, 10}).ok());
  EXPECT_TRUE(MergeMaps({{0, 0, 100, 100}}, map, 100, 100, {10, 10}).ok());
}

TEST(Tiling, CutTileKeepsModeAndPixels) {
  Image image;
  image.height = 20;
  image.width = 30;
  image.mode = Mode::kRgba;
  image.pixels = testing::Picture(20, 30, 4);
  const Image tile = CutTile(image, {5, 7, 15, 19});
  EXPECT_EQ(tile.mode, Mode::kRgba);
  ASSERT_EQ(tile.pixels.size(), 12u * 10 * 4);
  EXPECT_EQ(tile.pixels.front(), image.pixels[(7 * 30 + 5) * 4]);
  EXPECT_EQ(tile.pixels.back(), image.pixels[(18 * 30 + 14) * 4 + 3]);
}

}  // namespace
}  // namespace filo::image
