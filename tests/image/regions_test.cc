#include "server/image/regions.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <span>
#include <string>

#include "server/image/decode.h"
#include "server/image/roi.h"
#include "tests/image/test_support.h"

namespace filo::image {
namespace {

FloatMap Zero(int height, int width) {
  return {height, width, std::vector<float>(static_cast<std::size_t>(height) * width)};
}

void Set(FloatMap& map, int row, int column, float value) { map.values[row * map.width + column] = value; }

RegionSet Find(const FloatMap& map, int height, int width, const RegionOptions& options = {}) {
  auto set = FindRegions(map, {}, height, width, options);
  EXPECT_TRUE(set.ok()) << set.status();
  return *std::move(set);
}

int Pixels(const Mask& mask) {
  int count = 0;
  for (int y = 0; y < mask.height(); ++y) {
    for (int x = 0; x < mask.width(); ++x) count += mask.at(y, x);
  }
  return count;
}

double ShoelaceArea(const Polygon& polygon) {
  double twice = 0;
  for (std::size_t i = 0; i < polygon.size(); ++i) {
    const Point& a = polygon[i];
    const Point& b = polygon[(i + 1) % polygon.size()];
    twice += a.x * b.y - b.x * a.y;
  }
  return twice / 2;
}

TEST(Regions, OneCellBecomesItsPixels) {
  FloatMap map = Zero(4, 5);
  Set(map, 1, 3, 0.8f);
  const RegionSet set = Find(map, 40, 100);  // cells of 10 x 20 pixels
  ASSERT_EQ(set.regions.size(), 1u);
  const Region& region = set.regions[0];
  EXPECT_EQ(region.box.x0, 60);
  EXPECT_EQ(region.box.x1, 80);
  EXPECT_EQ(region.box.y0, 10);
  EXPECT_EQ(region.box.y1, 20);
  EXPECT_EQ(region.area, 200);
  EXPECT_FLOAT_EQ(region.peak, 0.8f);
  EXPECT_DOUBLE_EQ(region.mean, 0.8f);
  EXPECT_DOUBLE_EQ(region.peak_position.x, 69.5);
  EXPECT_DOUBLE_EQ(region.peak_position.y, 14.5);
  ASSERT_EQ(region.outline.size(), 4u);
  EXPECT_DOUBLE_EQ(region.outline[0].x, 59.5);
  EXPECT_DOUBLE_EQ(region.outline[0].y, 9.5);
  EXPECT_DOUBLE_EQ(region.outline[2].x, 79.5);
  EXPECT_DOUBLE_EQ(region.outline[2].y, 19.5);
  EXPECT_DOUBLE_EQ(ShoelaceArea(region.outline), 200);
  EXPECT_EQ(Pixels(set.mask), 200);
  EXPECT_FLOAT_EQ(set.max, 0.8f);
}

TEST(Regions, SortedByPeakWithAreaMeanAndSeverity) {
  FloatMap map = Zero(10, 10);
  Set(map, 0, 0, 0.55f);
  Set(map, 5, 5, 0.95f);
  Set(map, 5, 6, 0.65f);
  Set(map, 9, 0, 0.75f);
  const RegionSet set = Find(map, 10, 10);
  ASSERT_EQ(set.regions.size(), 3u);
  EXPECT_FLOAT_EQ(set.regions[0].peak, 0.95f);
  EXPECT_EQ(set.regions[0].area, 2);
  EXPECT_NEAR(set.regions[0].mean, 0.8, 1e-6);
  EXPECT_EQ(set.regions[0].severity, Severity::kHigh);
  EXPECT_EQ(set.regions[1].severity, Severity::kMedium);
  EXPECT_EQ(set.regions[2].severity, Severity::kLow);
}

TEST(Regions, CellsThatTouchAtACornerAreOneRegion) {
  FloatMap map = Zero(3, 3);
  Set(map, 0, 0, 1);
  Set(map, 1, 1, 1);
  Set(map, 2, 0, 1);
  const RegionSet set = Find(map, 3, 3);
  ASSERT_EQ(set.regions.size(), 1u);
  EXPECT_EQ(set.regions[0].area, 3);
  EXPECT_DOUBLE_EQ(ShoelaceArea(set.regions[0].outline), 3);
}

TEST(Regions, HolesAreNotCounted) {
  FloatMap map = Zero(5, 5);
  for (int i = 0; i < 25; ++i) map.values[i] = i == 12 ? 0.0f : 1.0f;
  const RegionSet set = Find(map, 5, 5);
  ASSERT_EQ(set.regions.size(), 1u);
  EXPECT_EQ(set.regions[0].area, 24);
  EXPECT_EQ(set.regions[0].outline.size(), 4u);
  EXPECT_FALSE(set.mask.at(2, 2));
}

TEST(Regions, SmallOnesAreDroppedFromListMaskAndVerdictAlike) {
  FloatMap map = Zero(10, 10);
  Set(map, 1, 1, 0.9f);
  for (int i = 0; i < 4; ++i) Set(map, 6, 3 + i, 0.6f);
  RegionSet set = Find(map, 10, 10, {.minimum_area = 2});
  ASSERT_EQ(set.regions.size(), 1u);
  EXPECT_EQ(set.dropped, 1);
  EXPECT_FALSE(set.mask.at(1, 1));
  EXPECT_EQ(Pixels(set.mask), 4);
  EXPECT_FLOAT_EQ(set.max, 0.9f);
  EXPECT_FLOAT_EQ(set.kept_max, 0.6f);
  set = Find(map, 10, 10, {.minimum_area = 5});
  EXPECT_TRUE(set.regions.empty());
  EXPECT_TRUE(set.mask.empty());
  EXPECT_LT(set.kept_max, 0.5f);
}

TEST(Regions, ListIsCutAfterTheBestAndTheMaskIsNot) {
  FloatMap map = Zero(1, 9);
  for (int i = 0; i < 5; ++i) Set(map, 0, 2 * i, 0.5f + 0.1f * static_cast<float>(i));
  const RegionSet set = Find(map, 1, 9, {.max_regions = 2});
  ASSERT_EQ(set.regions.size(), 2u);
  EXPECT_FLOAT_EQ(set.regions[1].peak, 0.8f);
  EXPECT_EQ(set.unlisted, 3);
  EXPECT_EQ(Pixels(set.mask), 5);
}

// Verdict, list and mask, on random maps, sizes, thresholds and polygons: never at odds.
TEST(Regions, NeverDisagreeWithTheMaximum) {
  std::mt19937 random(9);
  std::uniform_real_distribution<float> value(0, 1);
  int found = 0;
  for (int round = 0; round < 400; ++round) {
    FloatMap map = Zero(1 + random() % 24, 1 + random() % 24);
    for (float& v : map.values) v = std::pow(value(random), 6.0f);
    const int height = 1 + random() % 60, width = 1 + random() % 60;
    std::vector<std::uint8_t> inspected;
    if (round % 3 != 0) {
      for (std::size_t i = 0; i < map.values.size(); ++i) inspected.push_back(random() % 4 == 0);
      inspected[random() % inspected.size()] = 1;
    }
    float max = 0;
    for (std::size_t i = 0; i < map.values.size(); ++i) {
      if (inspected.empty() || inspected[i] != 0) max = std::max(max, map.values[i]);
    }
    // Thresholds at the maximum itself and one step beside it are the hard ones.
    const float threshold = round % 4 == 0 ? max : round % 4 == 1 ? std::nextafter(max, 2.0f) : value(random);
    const auto set = FindRegions(map, inspected, height, width, {.threshold = threshold});
    ASSERT_TRUE(set.ok()) << set.status();
    const bool bad = max >= threshold;
    found += bad;
    ASSERT_EQ(set->max, max);
    ASSERT_EQ(set->kept_max, max);
    ASSERT_EQ(!set->regions.empty(), bad) << round;
    ASSERT_EQ(!set->mask.empty(), bad) << round;
    ASSERT_EQ(Pixels(set->mask) > 0, bad) << round;
    double area = 0;
    for (const Region& region : set->regions) {
      area += region.area;
      ASSERT_GE(region.peak, threshold);
      ASSERT_GE(ShoelaceArea(region.outline), region.area - 1e-9);
      ASSERT_GE(region.box.x0, 0);
      ASSERT_LE(region.box.x1, width);
      ASSERT_LE(region.box.y1, height);
    }
    ASSERT_EQ(area, Pixels(set->mask)) << round;
    if (bad) {
      ASSERT_EQ(set->regions[0].peak, max);
    }
  }
  EXPECT_GT(found, 100);
  EXPECT_LT(found, 350);
}

// An outline filled again (by the rule of regions of interest) is the region with its holes closed.
TEST(Regions, OutlineFilledAgainIsTheRegion) {
  std::mt19937 random(3);
  for (int round = 0; round < 60; ++round) {
    FloatMap map = Zero(12, 12);
    for (float& v : map.values) v = random() % 5 < 2 ? 1.0f : 0.0f;
    const int height = 12 + round, width = 40 - round / 2;
    const RegionSet set = Find(map, height, width);
    for (const Region& region : set.regions) {
      const auto filled =
          RasteriseRoi({.inspect = {region.outline}, .ignore = {}}, height, width, height, width);
      ASSERT_TRUE(filled.ok()) << filled.status();
      int count = 0;
      for (std::uint8_t v : *filled) count += v;
      EXPECT_EQ(count, std::lround(ShoelaceArea(region.outline)));
      EXPECT_GE(count, region.area);
    }
  }
}

TEST(Regions, OutlinesHaveAtMostAThousandCorners) {
  FloatMap map = Zero(200, 200);
  for (int y = 0; y < 200; ++y) {
    for (int x = 0; x < 200; ++x) Set(map, y, x, y % 2 == 0 || x % 4 == (y % 4 == 1 ? 0 : 2) ? 1.0f : 0.0f);
  }
  map.values[0] = 0;
  const RegionSet set = Find(map, 200, 200);
  ASSERT_EQ(set.regions.size(), 1u);
  EXPECT_LE(set.regions[0].outline.size(), 1000u);
  EXPECT_GE(set.regions[0].outline.size(), 3u);
}

TEST(Regions, SenselessInputIsRefused) {
  EXPECT_FALSE(FindRegions({}, {}, 10, 10, {}).ok());
  EXPECT_FALSE(FindRegions(Zero(3, 3), {}, 0, 10, {}).ok());
  const std::vector<std::uint8_t> none(9, 0);
  EXPECT_FALSE(FindRegions(Zero(3, 3), none, 10, 10, {}).ok());
  FloatMap nan = Zero(2, 2);
  nan.values[1] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_FALSE(FindRegions(nan, {}, 10, 10, {}).ok());
}

// The pattern and its run-length string were made with pycocotools 2.0.
TEST(Mask, CocoStringEqualsPycocotools) {
  std::vector<std::uint8_t> pattern;
  for (int y = 0; y < 37; ++y) {
    for (int x = 0; x < 53; ++x) {
      pattern.push_back(((x * x + 3 * y * y + x * y) % 11 < 4 && y > 20) ||
                        (y >= 10 && y < 20 && x >= 5 && x < 40));
    }
  }
  const std::string text = Mask(37, 53, 37, 53, pattern).ToCocoRle();
  EXPECT_EQ(text.size(), 283u);
  EXPECT_EQ(text.substr(0, 60), "e0461`0M@3h0000XOLa04_ON47GK5045GI5265EG5485HK:5DK2M48HK4O46");
  EXPECT_EQ(testing::Sha256(std::span(reinterpret_cast<const std::uint8_t*>(text.data()), text.size())),
            "5d8f9c198781aa493e89fac652d097821ec9bd62679a23aa3e72c467bf925d4d");
  const auto back = FromCocoRle(text, 37, 53);
  ASSERT_TRUE(back.ok());
  EXPECT_EQ(*back, pattern);
  EXPECT_EQ(Mask(3, 2, 1, 1, {1}).ToCocoRle(), "06");
  EXPECT_EQ(Mask(3, 2, 1, 1, {0}).ToCocoRle(), "6");
}

TEST(Mask, DamagedCocoStringsAreRefused) {
  EXPECT_FALSE(FromCocoRle("07", 3, 2).ok());
  EXPECT_FALSE(FromCocoRle("05", 3, 2).ok());
  EXPECT_FALSE(FromCocoRle("0\x7f", 3, 2).ok());
  EXPECT_FALSE(FromCocoRle("o", 3, 2).ok());
  EXPECT_FALSE(FromCocoRle("oooooooooooooooo", 3, 2).ok());
}

TEST(Mask, PngHoldsTheSamePixels) {
  FloatMap map = Zero(7, 9);
  std::mt19937 random(1);
  for (float& v : map.values) v = random() % 2 == 0 ? 1.0f : 0.0f;
  const RegionSet set = Find(map, 61, 83);
  const auto file = set.mask.ToPng();
  ASSERT_TRUE(file.ok());
  const auto image = Decode(std::as_bytes(std::span(*file)), DecodeLimits{});
  ASSERT_TRUE(image.ok()) << image.status();
  ASSERT_EQ(image->mode, Mode::kBilevel);
  ASSERT_EQ(image->height, 61);
  ASSERT_EQ(image->width, 83);
  const auto runs = FromCocoRle(set.mask.ToCocoRle(), 61, 83);
  ASSERT_TRUE(runs.ok());
  for (int y = 0; y < 61; ++y) {
    for (int x = 0; x < 83; ++x) {
      ASSERT_EQ(image->pixels[y * 83 + x] != 0, set.mask.at(y, x));
      ASSERT_EQ((*runs)[y * 83 + x] != 0, set.mask.at(y, x));
    }
  }
}

}  // namespace
}  // namespace filo::image
