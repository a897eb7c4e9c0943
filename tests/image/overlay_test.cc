#include "server/image/overlay.h"

#include <gtest/gtest.h>

#include <cmath>
#include <span>

#include "server/image/decode.h"

namespace filo::image {
namespace {

RgbImage Gray(int height, int width) {
  return {height, width, std::vector<std::uint8_t>(static_cast<std::size_t>(height) * width * 3, 100)};
}

FloatMap Flat(int height, int width, float value) {
  return {height, width, std::vector<float>(static_cast<std::size_t>(height) * width, value)};
}

Image Decoded(const absl::StatusOr<std::string>& file) {
  EXPECT_TRUE(file.ok()) << file.status();
  if (!file.ok()) return {};
  auto image = Decode(std::as_bytes(std::span(*file)), DecodeLimits{});
  EXPECT_TRUE(image.ok()) << image.status();
  return image.ok() ? *std::move(image) : Image{};
}

std::vector<int> PixelAt(const Image& image, int row, int column) {
  const std::uint8_t* p = &image.pixels[(static_cast<std::size_t>(row) * image.width + column) * 3];
  return {p[0], p[1], p[2]};
}

OverlayOptions Png(ColourMap colour_map, float opacity) {
  return {.format = OverlayFormat::kPng, .colour_map = colour_map, .opacity = opacity};
}

// The published first and last entries of the three colour maps.
TEST(Overlay, EndsOfTheRangeHaveTheEndsOfTheColourMap) {
  struct Case {
    ColourMap colour_map;
    std::vector<int> low, high;
  };
  for (const Case& c : {Case{ColourMap::kInferno, {0, 0, 4}, {252, 255, 164}},
                        Case{ColourMap::kViridis, {68, 1, 84}, {253, 231, 37}},
                        Case{ColourMap::kTurbo, {48, 18, 59}, {122, 4, 3}}}) {
    SCOPED_TRACE(ColourMapName(c.colour_map));
    const ValueRange range{.min = 0.2f, .max = 0.6f};
    const auto low = Decoded(DrawOverlay(Gray(8, 9), Flat(4, 4, 0.1f), range, {}, Png(c.colour_map, 1)));
    const auto high = Decoded(DrawOverlay(Gray(8, 9), Flat(4, 4, 0.6f), range, {}, Png(c.colour_map, 1)));
    ASSERT_EQ(low.height, 8);
    ASSERT_EQ(low.width, 9);
    for (int channel = 0; channel < 3; ++channel) {  // rounding of the published floats differs by one
      EXPECT_NEAR(PixelAt(low, 3, 3)[channel], c.low[channel], 1);
      EXPECT_NEAR(PixelAt(high, 3, 3)[channel], c.high[channel], 1);
    }
  }
}

TEST(Overlay, OpacityWeighsMapAgainstPhotograph) {
  const auto none = Decoded(DrawOverlay(Gray(6, 6), Flat(3, 3, 1), {}, {}, Png(ColourMap::kInferno, 0)));
  EXPECT_EQ(PixelAt(none, 2, 2), (std::vector<int>{100, 100, 100}));
  const auto half = Decoded(DrawOverlay(Gray(6, 6), Flat(3, 3, 1), {}, {}, Png(ColourMap::kInferno, 0.5f)));
  EXPECT_NEAR(PixelAt(half, 2, 2)[0], (100 + 252) / 2, 1);
}

TEST(Overlay, HotPlaceIsDrawnWhereItLies) {
  FloatMap map = Flat(10, 20, 0);
  map.values[2 * 20 + 15] = 1;  // centre at row 50, column 155 of 200 x 400 (scale 20)
  const auto image = Decoded(DrawOverlay(Gray(200, 400), map, {}, {}, Png(ColourMap::kInferno, 1)));
  EXPECT_GT(PixelAt(image, 49, 309)[0], 240);
  EXPECT_LT(PixelAt(image, 49, 250)[0], 5);
  EXPECT_LT(PixelAt(image, 100, 309)[0], 5);
}

TEST(Overlay, BoxesAreDrawnInsideThePicture) {
  const std::vector<OverlayBox> boxes = {{10, 20, 60, 80, "a sch\xc3\xb6ne crack", true},
                                         {-5, -5, 500, 500, "", false}};
  const auto image =
      Decoded(DrawOverlay(Gray(100, 120), Flat(5, 5, 0), {}, boxes, Png(ColourMap::kInferno, 0)));
  EXPECT_EQ(PixelAt(image, 50, 10), (std::vector<int>{230, 40, 40}));  // left edge of the counting box
  EXPECT_EQ(PixelAt(image, 79, 30), (std::vector<int>{230, 40, 40}));  // its last row
  EXPECT_EQ(PixelAt(image, 99, 119),
            (std::vector<int>{150, 150, 150}));  // the other is clipped to the picture
  EXPECT_EQ(PixelAt(image, 50, 90), (std::vector<int>{100, 100, 100}));
}

TEST(Overlay, ShrinksToMaxSideAndNeverEnlarges) {
  OverlayOptions options = Png(ColourMap::kTurbo, 0.5f);
  options.max_side = 50;
  auto image = Decoded(DrawOverlay(Gray(100, 200), Flat(40, 40, 0.5f), {}, {}, options));
  EXPECT_EQ(image.width, 50);
  EXPECT_EQ(image.height, 25);
  options.max_side = 1000;
  image = Decoded(DrawOverlay(Gray(100, 200), Flat(40, 40, 0.5f), {}, {}, options));
  EXPECT_EQ(image.width, 200);
}

TEST(Overlay, JpegIsTheDefault) {
  const auto file = DrawOverlay(Gray(30, 30), Flat(5, 5, 0.5f), {}, {}, {});
  ASSERT_TRUE(file.ok());
  EXPECT_EQ(file->substr(0, 2), "\xff\xd8");
}

TEST(Overlay, RefusesWhatMakesNoSense) {
  EXPECT_FALSE(DrawOverlay(Gray(3, 3), Flat(3, 3, 0), {}, {}, {.opacity = 1.5f}).ok());
  EXPECT_FALSE(DrawOverlay(Gray(3, 3), Flat(3, 3, 0), {}, {}, {.max_side = -1}).ok());
  EXPECT_FALSE(DrawOverlay(Gray(3, 3), Flat(3, 3, 0), {.min = 1, .max = 1}, {}, {}).ok());
  EXPECT_FALSE(DrawOverlay({}, Flat(3, 3, 0), {}, {}, {}).ok());
  EXPECT_FALSE(DrawOverlay(Gray(3, 3), {}, {}, {}, {}).ok());
  EXPECT_EQ(DrawOverlay(Gray(3, 3), Flat(3, 3, NAN), {}, {}, {}).status().code(),
            absl::StatusCode::kInternal);
}

}  // namespace
}  // namespace filo::image
