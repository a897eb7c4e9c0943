#include "server/image/roi.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <string>

#include "server/base/status.h"
#include "tests/image/writers.h"

namespace filo::image {
namespace {

using ::testing::HasSubstr;

Polygon Rectangle(double left, double top, double right, double bottom) {
  return {{left, top}, {right, top}, {right, bottom}, {left, bottom}};
}

int Count(const std::vector<std::uint8_t>& mask) {
  return static_cast<int>(std::count(mask.begin(), mask.end(), 1));
}

TEST(Roi, NoPolygonsInspectEverything) {
  const auto mask = RasteriseRoi({}, 100, 200, 5, 10);
  ASSERT_TRUE(mask.ok());
  EXPECT_EQ(Count(*mask), 50);
}

TEST(Roi, RectangleOnPixelEdgesHoldsExactlyItsPixels) {
  // The map is the image: pixel centres are whole numbers, so [1.5, 4.5] x [0.5, 2.5] holds columns 2..4,
  // rows 1..2.
  const auto mask = RasteriseRoi({.inspect = {Rectangle(1.5, 0.5, 4.5, 2.5)}, .ignore = {}}, 5, 7, 5, 7);
  ASSERT_TRUE(mask.ok());
  for (int y = 0; y < 5; ++y) {
    for (int x = 0; x < 7; ++x)
      EXPECT_EQ((*mask)[y * 7 + x], y >= 1 && y <= 2 && x >= 2 && x <= 4) << y << " " << x;
  }
}

// Against the textbook's point-in-polygon (winding by angles), on random triangles and stars, at other
// scales.
TEST(Roi, AgreesWithAnglesSummedUp) {
  std::mt19937 random(4);
  std::uniform_real_distribution<double> radius(20, 60);
  for (int round = 0; round < 50; ++round) {
    Polygon star;
    const int corners = 3 + round % 9;
    for (int i = 0; i < corners; ++i) {
      const double angle = 2 * M_PI * i / corners;
      const double r = radius(random);
      star.push_back({70 + r * std::cos(angle), 60 + r * std::sin(angle)});
    }
    if (round % 2 == 1) std::reverse(star.begin(), star.end());
    const int height = 20 + round, width = 90 - round;
    const auto mask = RasteriseRoi({.inspect = {star}, .ignore = {}}, 120, 140, height, width);
    ASSERT_TRUE(mask.ok()) << mask.status();
    for (int row = 0; row < height; ++row) {
      for (int column = 0; column < width; ++column) {
        const double x = (column + 0.5) * 140 / width - 0.5, y = (row + 0.5) * 120 / height - 0.5;
        double turned = 0;
        for (std::size_t i = 0; i < star.size(); ++i) {
          const Point& a = star[i];
          const Point& b = star[(i + 1) % star.size()];
          turned += std::remainder(std::atan2(b.y - y, b.x - x) - std::atan2(a.y - y, a.x - x), 2 * M_PI);
        }
        ASSERT_EQ((*mask)[row * width + column], std::abs(turned) > 3)
            << round << ": " << row << " " << column;
      }
    }
  }
}

TEST(Roi, IgnoreWinsOverInspect) {
  const auto mask =
      RasteriseRoi({.inspect = {Rectangle(-0.5, -0.5, 9.5, 9.5)}, .ignore = {Rectangle(3.5, 3.5, 5.5, 5.5)}},
                   10, 10, 10, 10);
  ASSERT_TRUE(mask.ok());
  EXPECT_EQ(Count(*mask), 96);
  EXPECT_EQ((*mask)[4 * 10 + 4], 0);
}

TEST(Roi, BadPolygonsAreRefusedByName) {
  const auto field = [](const RegionOfInterest& roi) {
    const auto mask = RasteriseRoi(roi, 100, 100, 10, 10);
    EXPECT_EQ(mask.status().code(), absl::StatusCode::kInvalidArgument);
    const auto violation = GetFieldViolation(mask.status());
    return violation ? violation->field + ": " + violation->description : "no violation";
  };
  const Polygon good = Rectangle(0, 0, 50, 50);
  EXPECT_THAT(field({.inspect = {good, {{1, 1}, {2, 2}}}, .ignore = {}}), HasSubstr("inspect[1]"));
  EXPECT_THAT(field({.inspect = {}, .ignore = {{{0, 0}, {9, 9}, {9, 0}, {0, 9}}}}),
              HasSubstr("crosses itself"));
  EXPECT_THAT(field({.inspect = {{{0, 0}, {5, 5}, {10, 10}}}, .ignore = {}}), HasSubstr("without area"));
  EXPECT_THAT(field({.inspect = {{{0, 0}, {NAN, 5}, {10, 0}}}, .ignore = {}}), HasSubstr("not finite"));
  EXPECT_THAT(field({.inspect = {Rectangle(200, 0, 300, 50)}, .ignore = {}}),
              HasSubstr("reach into the image"));
  EXPECT_THAT(field({.inspect = {Polygon(1001, Point{1, 1})}, .ignore = {}}), HasSubstr("3 to 1000"));
  EXPECT_THAT(field({.inspect = {}, .ignore = {Rectangle(-1, -1, 101, 101)}}),
              HasSubstr("something to inspect"));
  EXPECT_THAT(field({.inspect = {Rectangle(5, 5, 8, 8)}, .ignore = {}}),
              HasSubstr("10.0 x 10.0 pixels apart"));
}

TEST(Crop, UprightOnWholePixelsIsACopy) {
  const RgbImage image{30, 40, testing::Picture(30, 40, 3)};
  // Columns 5..14, rows 7..18: centre at the middle of the first and last pixel centre.
  const auto crop = CutOut(image, {.centre = {9.5, 12.5}, .width = 10, .height = 12});
  ASSERT_TRUE(crop.ok()) << crop.status();
  ASSERT_EQ(crop->image.width, 10);
  ASSERT_EQ(crop->image.height, 12);
  for (int y = 0; y < 12; ++y) {
    for (int x = 0; x < 10 * 3; ++x) {
      ASSERT_EQ(crop->image.pixels[y * 30 + x], image.pixels[(y + 7) * 120 + 15 + x]) << y << " " << x;
    }
  }
  EXPECT_DOUBLE_EQ(crop->to_image.x0, 5);
  EXPECT_DOUBLE_EQ(crop->to_image.y0, 7);
}

TEST(Crop, QuarterTurnMovesPixelsWithoutChangingThem) {
  const RgbImage image{20, 20, testing::Picture(20, 20, 3)};
  const auto crop = CutOut(image, {.centre = {9.5, 9.5}, .width = 20, .height = 20, .degrees = 90});
  ASSERT_TRUE(crop.ok()) << crop.status();
  // The rectangle's own x axis points down in the image, its y axis to the left.
  for (int y = 0; y < 20; ++y) {
    for (int x = 0; x < 20; ++x) {
      for (int c = 0; c < 3; ++c) {
        ASSERT_EQ(crop->image.pixels[(y * 20 + x) * 3 + c], image.pixels[(x * 20 + (19 - y)) * 3 + c]);
      }
    }
  }
}

TEST(Crop, SlantedCropShowsALinearPictureExactly) {
  RgbImage image{100, 100, {}};
  for (int y = 0; y < 100; ++y) {
    for (int x = 0; x < 100; ++x) {
      for (int c = 0; c < 3; ++c)
        image.pixels.push_back(static_cast<std::uint8_t>(c == 0 ? x : c == 1 ? y : x + y));
    }
  }
  const auto crop = CutOut(image, {.centre = {50, 45}, .width = 40, .height = 20, .degrees = 30});
  ASSERT_TRUE(crop.ok()) << crop.status();
  for (int y = 0; y < 20; ++y) {
    for (int x = 0; x < 40; ++x) {
      const double ox = 50 + std::cos(M_PI / 6) * (x - 19.5) - std::sin(M_PI / 6) * (y - 9.5);
      const double oy = 45 + std::sin(M_PI / 6) * (x - 19.5) + std::cos(M_PI / 6) * (y - 9.5);
      EXPECT_NEAR(crop->image.pixels[(y * 40 + x) * 3], ox, 0.51);
      EXPECT_NEAR(crop->image.pixels[(y * 40 + x) * 3 + 1], oy, 0.51);
      EXPECT_NEAR(crop->to_image.xx * x + crop->to_image.xy * y + crop->to_image.x0, ox, 1e-9);
      EXPECT_NEAR(crop->to_image.yx * x + crop->to_image.yy * y + crop->to_image.y0, oy, 1e-9);
    }
  }
}

TEST(Crop, OutsideTheImageOrSenselessIsRefused) {
  const RgbImage image{30, 40, testing::Picture(30, 40, 3)};
  EXPECT_TRUE(CutOut(image, {.centre = {19.5, 14.5}, .width = 40, .height = 30}).ok());
  EXPECT_FALSE(CutOut(image, {.centre = {20.5, 14.5}, .width = 40, .height = 30}).ok());
  EXPECT_FALSE(CutOut(image, {.centre = {19.5, 14.5}, .width = 40, .height = 30, .degrees = 10}).ok());
  EXPECT_FALSE(CutOut(image, {.centre = {5, 5}, .width = 0.5, .height = 3}).ok());
  EXPECT_FALSE(CutOut(image, {.centre = {NAN, 5}, .width = 3, .height = 3}).ok());
  EXPECT_FALSE(CutOut(image, {.centre = {5, 5}, .width = 1e30, .height = 3}).ok());
}

}  // namespace
}  // namespace filo::image
