// Images that broke loaders elsewhere, each with what must become of it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "server/base/status.h"
#include "server/image/decode.h"
#include "server/image/resize.h"
#include "tests/image/test_support.h"
#include "tests/image/writers.h"

namespace filo::image {
namespace {

using nlohmann::json;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

const std::string kFolder = std::string(FILO_TEST_DATA) + "/odd/";

absl::StatusOr<Image> DecodeFile(const std::string& name, const DecodeOptions& options = {}) {
  return Decode(testing::ReadFile(kFolder + name), DecodeLimits{}, options);
}

void ExpectRefused(const absl::StatusOr<Image>& result, const std::string& because) {
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(result.status().message()), HasSubstr(because));
  const auto violation = GetFieldViolation(result.status());
  ASSERT_TRUE(violation.has_value());
  EXPECT_EQ(violation->field, "image");
}

// Every file that Pillow opens as one image is opened here too, with the same pixels, except those refused by
// name.
TEST(OddImages, HavePillowsModesAndPixels) {
  const json expected = json::parse(std::ifstream(kFolder + "expected.json"));
  ASSERT_EQ(expected.size(), 34u);
  for (const json& file : expected) {
    const std::string name = file["file"];
    SCOPED_TRACE(name);
    const auto image = DecodeFile(name, {.significant_bits = 0, .gray16 = Gray16::kPillow});
    if (name == "alpha0.png") {
      ExpectRefused(image, "fully transparent");
      continue;
    }
    ASSERT_TRUE(image.ok()) << image.status();
    EXPECT_EQ(ModeName(image->mode), file["mode"]);
    const RgbImage rgb = ConvertToRgb(*image);
    EXPECT_EQ(json({rgb.height, rgb.width, 3}), file["shape"]);
    EXPECT_EQ(testing::Sha256(rgb.pixels), file["sha256"]);
  }
}

TEST(OddImages, OrdinaryOnesComeWithoutWarnings) {
  for (const char* name :
       {"good.jpg", "prog.jpg", "gray.jpg", "cmyk.jpg", "pal.png", "rgb.bmp", "rgb_lzw.tif", "lossy.webp"}) {
    const auto image = DecodeFile(name);
    ASSERT_TRUE(image.ok()) << name << image.status();
    EXPECT_THAT(image->warnings, IsEmpty()) << name;
  }
}

TEST(OddImages, CutJpegsAreRefused) {
  for (const char* name : {"trunc20.jpg", "trunc50.jpg", "progtrunc.jpg"}) {
    SCOPED_TRACE(name);
    ExpectRefused(DecodeFile(name), "cut short");
  }
}

TEST(OddImages, JpegWithoutItsEndMarkerIsWholeAndSaysSo) {
  const auto image = DecodeFile("noeoi.jpg");
  ASSERT_TRUE(image.ok()) << image.status();
  EXPECT_THAT(image->warnings, ElementsAre("the JPEG end marker is missing; all pixels are there"));
  EXPECT_EQ(image->pixels, DecodeFile("good.jpg")->pixels);
}

TEST(OddImages, WhatIsNoImageIsRefused) {
  ExpectRefused(DecodeFile("zero.jpg"), "empty");
  ExpectRefused(DecodeFile("junk.jpg"), "");
  ExpectRefused(DecodeFile("README.md"), "no image of a known format");
}

TEST(OddImages, BombsAreRefusedFromTheHeader) {
  ExpectRefused(DecodeFile("bomb_hdr.png"), "60000");
  ExpectRefused(DecodeFile("bomb_32k.png"),
                "32000 x 32000 pixels, 1024000000 in all; at most 67108864 are accepted");
  ExpectRefused(DecodeFile("hugehdr.bmp"), "30000 x 30000 pixels");
}

TEST(OddImages, SixteenBitsAreScaledByTheDeclaredBits) {
  const auto pillow = DecodeFile("mono12in16.png", {.significant_bits = 0, .gray16 = Gray16::kPillow});
  ASSERT_TRUE(pillow.ok());
  const auto scaled = DecodeFile("mono12in16.png", {.significant_bits = 12});
  ASSERT_TRUE(scaled.ok()) << scaled.status();
  ASSERT_EQ(scaled->mode, Mode::kGray);
  EXPECT_THAT(scaled->warnings, IsEmpty());
  for (std::size_t i = 0; i < scaled->pixels.size(); ++i) {
    const int value = pillow->pixels[2 * i] | pillow->pixels[2 * i + 1] << 8;
    ASSERT_EQ(scaled->pixels[i], std::lround(value * 255 / 4095.0));
  }
  const auto undeclared = DecodeFile("mono12in16.png");
  ASSERT_TRUE(undeclared.ok());
  EXPECT_THAT(undeclared->warnings,
              Contains(HasSubstr("its brightest value is 4088; state significant_bits")));
  const auto full = DecodeFile("mono16.png");
  ASSERT_TRUE(full.ok());
  EXPECT_THAT(full->warnings, IsEmpty());
  EXPECT_EQ(full->mode, Mode::kGray);
}

TEST(OddImages, MoreBitsThanDeclaredAreRefused) {
  const auto image = DecodeFile("mono16.png", {.significant_bits = 12});
  ASSERT_FALSE(image.ok());
  EXPECT_EQ(GetFieldViolation(image.status())->field, "significant_bits");
  EXPECT_EQ(DecodeFile("good.jpg", {.significant_bits = 8}).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(DecodeFile("mono16.png", {.significant_bits = 17}).status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST(OddImages, TiffStatesItsSignificantBits) {
  std::vector<std::uint8_t> samples;
  for (int i = 0; i < 64 * 64; ++i) {
    samples.push_back(static_cast<std::uint8_t>(i & 255));
    samples.push_back(static_cast<std::uint8_t>(i >> 8));
  }
  testing::TiffOptions options{.samples = 1, .bits = 16};
  const auto undeclared = Decode(testing::WriteTiff(samples, 64, 64, options), DecodeLimits{});
  ASSERT_TRUE(undeclared.ok()) << undeclared.status();
  EXPECT_THAT(undeclared->warnings, Contains(HasSubstr("state significant_bits")));
  EXPECT_EQ(undeclared->pixels.back(), std::lround(4095 * 255 / 65535.0));
  options.max_sample_value = 4095;
  const auto declared = Decode(testing::WriteTiff(samples, 64, 64, options), DecodeLimits{});
  ASSERT_TRUE(declared.ok()) << declared.status();
  EXPECT_THAT(declared->warnings, IsEmpty());
  EXPECT_EQ(declared->pixels.back(), 0xff);
}

TEST(OddImages, SeveralImagesInAFileAreRefusedByName) {
  const auto pixels = testing::Picture(20, 30, 3);
  ExpectRefused(Decode(testing::WriteTiff(pixels, 20, 30, {.pages = 2}), DecodeLimits{}), "several pages");
  ExpectRefused(DecodeFile("anim.png"), "animated PNG (2 frames)");
  ExpectRefused(DecodeFile("anim.webp"), "animated WebP");
  const std::string gif("GIF89a\x10\0\x10\0\0\0\0;", 14);
  ExpectRefused(Decode(std::as_bytes(std::span(gif)), DecodeLimits{}), "GIF is not accepted");
}

TEST(OddImages, FloatsAreRefusedByName) {
  const std::vector<std::uint8_t> samples(16 * 16 * 4);
  ExpectRefused(Decode(testing::WriteTiff(samples, 16, 16, {.samples = 1, .bits = 32, .sample_format = 3}),
                       DecodeLimits{}),
                "floating-point");
}

TEST(OddImages, ArithmeticCodingIsRefusedBecauseItsEndCannotBeTold) {
  const auto pixels = testing::Picture(20, 30, 3);
  ExpectRefused(Decode(testing::WriteJpeg(pixels, 20, 30, {.arithmetic = true}), DecodeLimits{}),
                "arithmetic");
}

TEST(OddImages, OrientationIsReportedAndNeverApplied) {
  const auto jpeg = DecodeFile("exif6.jpg");
  ASSERT_TRUE(jpeg.ok());
  EXPECT_EQ(jpeg->orientation, 6);
  EXPECT_EQ(jpeg->width, 512);
  EXPECT_EQ(jpeg->height, 300);
  EXPECT_THAT(jpeg->warnings, ElementsAre(HasSubstr("orientation 6; it is not applied")));
  const auto pixels = testing::Picture(20, 30, 3);
  const auto tiff = Decode(testing::WriteTiff(pixels, 20, 30, {.orientation = 8}), DecodeLimits{});
  ASSERT_TRUE(tiff.ok()) << tiff.status();
  EXPECT_EQ(tiff->orientation, 8);
  EXPECT_EQ(tiff->pixels, pixels);
}

TEST(OddImages, OnePixelIsAnImageUnlessTheLimitSaysOtherwise) {
  EXPECT_TRUE(DecodeFile("1x1.png").ok());
  ExpectRefused(Decode(testing::ReadFile(kFolder + "1x1.png"), {.min_side = 16}),
                "both sides must be at least 16");
}

TEST(OddImages, PartlyTransparentOnesAreAcceptedWithAWarning) {
  const auto image = DecodeFile("lossless_alpha.webp");
  ASSERT_TRUE(image.ok());
  EXPECT_THAT(image->warnings, ElementsAre(HasSubstr("transparency is ignored")));
}

TEST(DecodeLimits, AreCheckedOneByOne) {
  const auto bytes = testing::ReadFile(kFolder + "good.jpg");
  EXPECT_TRUE(Decode(bytes, {.max_bytes = bytes.size(), .max_pixels = 512 * 512, .max_side = 512}).ok());
  ExpectRefused(Decode(bytes, {.max_bytes = bytes.size() - 1}), "at most 12991 are accepted");
  ExpectRefused(Decode(bytes, {.max_pixels = 512 * 512 - 1}), "262144 in all");
  ExpectRefused(Decode(bytes, {.max_side = 511}), "no side may exceed 511");
}

TEST(ReadHeader, PromisesWhatDecodeKeeps) {
  for (const char* name :
       {"good.jpg", "cmyk.jpg", "pal.png", "palette.bmp", "rgb_tiled.tif", "lossless_alpha.webp"}) {
    const auto bytes = testing::ReadFile(kFolder + name);
    const auto header = ReadHeader(bytes, DecodeLimits{});
    const auto image = Decode(bytes, DecodeLimits{});
    ASSERT_TRUE(header.ok() && image.ok()) << name;
    EXPECT_EQ(header->height, image->height) << name;
    EXPECT_EQ(header->width, image->width) << name;
    EXPECT_EQ(header->mode, image->mode) << name;
  }
}

}  // namespace
}  // namespace filo::image
