// Every variant of the lossless formats, written here from known pixels and read back.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <string>

#include "server/image/decode.h"
#include "server/image/resize.h"
#include "tests/image/test_support.h"
#include "tests/image/writers.h"

namespace filo::image {
namespace {

constexpr int kHeight = 13, kWidth = 21;

std::vector<std::uint8_t> Codes(int channels, int below) {
  std::mt19937 random(static_cast<unsigned>(channels * 1000 + below));
  std::vector<std::uint8_t> codes;
  for (int i = 0; i < kHeight * kWidth * channels; ++i)
    codes.push_back(static_cast<std::uint8_t>(random() % below));
  return codes;
}

Image Decoded(const testing::Buffer& bytes) {
  auto image = Decode(bytes, DecodeLimits{}, {.significant_bits = 0, .gray16 = Gray16::kPillow});
  EXPECT_TRUE(image.ok()) << image.status();
  return image.ok() ? *std::move(image) : Image{};
}

TEST(PngVariants, GrayOfOneToEightBits) {
  for (int depth : {1, 2, 4, 8}) {
    for (bool interlaced : {false, true}) {
      const auto codes = Codes(1, 1 << depth);
      const Image image = Decoded(testing::WritePng(
          codes, kHeight, kWidth, {.colour_type = 0, .bit_depth = depth, .interlaced = interlaced}));
      EXPECT_EQ(image.mode, depth == 1 ? Mode::kBilevel : Mode::kGray);
      for (std::size_t i = 0; i < codes.size(); ++i) {
        ASSERT_EQ(image.pixels[i], codes[i] * 255 / ((1 << depth) - 1)) << depth;
      }
    }
  }
}

TEST(PngVariants, PalettesOfOneToEightBits) {
  for (int depth : {1, 2, 4, 8}) {
    for (bool transparency : {false, true}) {
      const auto codes = Codes(1, 1 << depth);
      const Image image = Decoded(testing::WritePng(
          codes, kHeight, kWidth,
          {.colour_type = 3, .bit_depth = depth, .colours = 1 << depth, .transparency = transparency}));
      if (depth == 1 && transparency) {  // alpha 0 and 1: nearly nothing, but not nothing
        EXPECT_THAT(image.warnings, ::testing::Not(::testing::IsEmpty()));
      }
      EXPECT_EQ(image.mode, transparency ? Mode::kPaletteAlpha : Mode::kPalette);
      EXPECT_EQ(image.pixels, codes);
      const RgbImage rgb = ConvertToRgb(image);
      for (std::size_t i = 0; i < codes.size(); ++i) {
        ASSERT_EQ(rgb.pixels[3 * i], codes[i]);
        ASSERT_EQ(rgb.pixels[3 * i + 1], 255 - codes[i]);
        ASSERT_EQ(rgb.pixels[3 * i + 2], codes[i] / 2);
      }
    }
  }
}

TEST(PngVariants, IndexBeyondThePaletteIsRefused) {
  auto codes = Codes(1, 100);
  codes[17] = 100;
  const auto image =
      Decode(testing::WritePng(codes, kHeight, kWidth, {.colour_type = 3, .colours = 100}), DecodeLimits{});
  ASSERT_FALSE(image.ok());
  EXPECT_EQ(image.status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(PngVariants, EightAndSixteenBitColour) {
  struct Case {
    int colour_type, channels;
    Mode mode;
  };
  for (const Case& c : {Case{2, 3, Mode::kRgb}, Case{4, 2, Mode::kGrayAlpha}, Case{6, 4, Mode::kRgba}}) {
    const auto codes = Codes(c.channels, 256);
    const Image narrow = Decoded(testing::WritePng(codes, kHeight, kWidth, {.colour_type = c.colour_type}));
    EXPECT_EQ(narrow.mode, c.mode);
    EXPECT_EQ(narrow.pixels, codes);
    const auto wide_codes = Codes(c.channels * 2, 256);  // big-endian pairs
    const Image wide = Decoded(
        testing::WritePng(wide_codes, kHeight, kWidth, {.colour_type = c.colour_type, .bit_depth = 16}));
    EXPECT_EQ(wide.mode, c.mode);
    for (std::size_t i = 0; i < wide.pixels.size(); ++i) ASSERT_EQ(wide.pixels[i], wide_codes[2 * i]);
    EXPECT_THAT(wide.warnings, ::testing::Contains(::testing::HasSubstr("upper 8 bits")));
  }
}

TEST(PngVariants, SixteenBitGrayKeepsEveryBit) {
  const auto codes = Codes(2, 256);
  const Image image = Decoded(testing::WritePng(codes, kHeight, kWidth, {.colour_type = 0, .bit_depth = 16}));
  ASSERT_EQ(image.mode, Mode::kGray16);
  for (std::size_t i = 0; i < codes.size(); i += 2) {
    const auto value = static_cast<std::uint16_t>(codes[i] << 8 | codes[i + 1]);
    ASSERT_EQ(std::memcmp(&image.pixels[i], &value, 2), 0);
  }
}

TEST(BmpVariants, DepthsAndRowOrders) {
  const auto rgb = Codes(3, 256);
  const auto gray = Codes(1, 256);
  for (bool top_down : {false, true}) {
    EXPECT_EQ(Decoded(testing::WriteBmp(rgb, kHeight, kWidth, 24, top_down)).pixels, rgb);
    EXPECT_EQ(Decoded(testing::WriteBmp(rgb, kHeight, kWidth, 32, top_down)).pixels, rgb);
    EXPECT_EQ(Decoded(testing::WriteBmp(gray, kHeight, kWidth, 8, top_down)).pixels, gray);
    const Image packed = Decoded(testing::WriteBmp(rgb, kHeight, kWidth, 16, top_down));
    for (std::size_t i = 0; i < rgb.size(); ++i) {
      const int bits = i % 3 == 1 ? 6 : 5;
      ASSERT_EQ(packed.pixels[i], (rgb[i] >> (8 - bits)) * 255 / ((1 << bits) - 1));
    }
  }
}

TEST(TiffVariants, CompressionsStripsAndTiles) {
  for (int samples : {1, 3}) {
    const auto codes = Codes(samples, 256);
    for (int compression : {1, 5, 8, 32773}) {
      for (int rows : {1, 4, 100}) {
        EXPECT_EQ(Decoded(testing::WriteTiff(
                              codes, kHeight, kWidth,
                              {.compression = compression, .samples = samples, .rows_per_strip = rows}))
                      .pixels,
                  codes)
            << compression << " " << rows;
      }
      EXPECT_EQ(Decoded(testing::WriteTiff(codes, kHeight, kWidth,
                                           {.compression = compression, .samples = samples, .tile = 16}))
                    .pixels,
                codes)
          << compression;
    }
  }
}

TEST(WebpVariants, LosslessIsLossless) {
  const auto rgb = Codes(3, 256);
  EXPECT_EQ(Decoded(testing::WriteWebp(rgb, kHeight, kWidth, true)).pixels, rgb);
}

TEST(TrailingBytes, AreIgnoredWithAWarning) {
  const auto rgb = Codes(3, 256);
  for (auto bytes :
       {testing::WriteJpeg(rgb, kHeight, kWidth, {}), testing::WritePng(rgb, kHeight, kWidth, {}),
        testing::WriteWebp(rgb, kHeight, kWidth, true)}) {
    bytes.resize(bytes.size() + 7);
    EXPECT_THAT(Decoded(bytes).warnings,
                ::testing::ElementsAre(::testing::HasSubstr("7 bytes after the end")));
  }
}

}  // namespace
}  // namespace filo::image
