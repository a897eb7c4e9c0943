#include "server/image/map_codec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <opencv2/imgcodecs.hpp>
#include <random>

namespace filo::image {
namespace {

FloatMap Random(int height, int width, float low, float high) {
  std::mt19937 generator(7);
  std::uniform_real_distribution<float> value(low, high);
  FloatMap map{height, width, {}};
  for (int i = 0; i < height * width; ++i) map.values.push_back(value(generator));
  return map;
}

std::span<const std::byte> Bytes(const std::string& text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

TEST(MapCodecTest, PngIsOffByHalfAStepAtMost) {
  const ValueRange range{-0.5f, 2.0f};
  const FloatMap map = Random(37, 41, range.min, range.max);
  for (const auto& [format, steps] : {std::pair{MapFormat::kPng8, 255.0f}, {MapFormat::kPng16, 65535.0f}}) {
    const auto file = EncodeMap(map, format, range);
    ASSERT_TRUE(file.ok()) << file.status();
    const auto back = DecodeMap(Bytes(*file), format, 37, 41, range);
    ASSERT_TRUE(back.ok()) << back.status();
    const float half_step = 2.5f / steps / 2 * 1.001f + 3e-7f;
    for (std::size_t i = 0; i < map.values.size(); ++i)
      ASSERT_NEAR(back->values[i], map.values[i], half_step);
  }
}

// Other people's decoders must see the same codes: no gamma, no byte order surprise.
TEST(MapCodecTest, PngCodesAreWhatOpenCvReads) {
  FloatMap map{1, 5, {0, 0.25f, 0.5f, 1, 7}};
  const auto wide = EncodeMap(map, MapFormat::kPng16, {0, 1});
  ASSERT_TRUE(wide.ok());
  const cv::Mat codes = cv::imdecode(std::vector<char>(wide->begin(), wide->end()), cv::IMREAD_UNCHANGED);
  ASSERT_EQ(codes.type(), CV_16UC1);
  EXPECT_EQ(codes.at<std::uint16_t>(0, 1), 16384);
  EXPECT_EQ(codes.at<std::uint16_t>(0, 2), 32768);
  EXPECT_EQ(codes.at<std::uint16_t>(0, 3), 65535);
  EXPECT_EQ(codes.at<std::uint16_t>(0, 4), 65535);
  const auto narrow = EncodeMap(map, MapFormat::kPng8, {0, 1});
  const cv::Mat small = cv::imdecode(std::vector<char>(narrow->begin(), narrow->end()), cv::IMREAD_UNCHANGED);
  ASSERT_EQ(small.type(), CV_8UC1);
  EXPECT_EQ(small.at<std::uint8_t>(0, 1), 64);
  EXPECT_EQ(small.at<std::uint8_t>(0, 3), 255);
}

TEST(MapCodecTest, HalfFloatsKeepElevenBits) {
  FloatMap map = Random(19, 23, -2, 2);
  // Exact values, the smallest numbers, ties, overflow.
  for (float v : {0.0f, 1.0f, -0.5f, 6.103515625e-05f, 5.960464477539063e-08f, 2.98e-08f, 1e-12f, 65504.0f,
                  1e9f, 1.00048828125f, 1.00146484375f}) {
    map.values.push_back(v);
  }
  map.height = 1;
  map.width = static_cast<int>(map.values.size());
  const auto packed = EncodeMap(map, MapFormat::kZstdFloat16, {});
  ASSERT_TRUE(packed.ok());
  const auto back = DecodeMap(Bytes(*packed), MapFormat::kZstdFloat16, 1, map.width, {});
  ASSERT_TRUE(back.ok()) << back.status();
  for (std::size_t i = 0; i < map.values.size(); ++i) {
    const float value = std::min(map.values[i], 65504.0f);
    ASSERT_NEAR(back->values[i], value, std::abs(value) * std::ldexp(1.0f, -11) + std::ldexp(1.0f, -25)) << i;
  }
  const std::size_t n = map.values.size();
  EXPECT_EQ(back->values[n - 2], 1.0f);          // a tie goes to the even neighbour below ...
  EXPECT_EQ(back->values[n - 1], 1.001953125f);  // ... or above
}

TEST(MapCodecTest, DamagedOrWrongSizedBytesAreRefused) {
  const FloatMap map = Random(12, 9, 0, 1);
  for (const MapFormat format : {MapFormat::kPng8, MapFormat::kPng16, MapFormat::kZstdFloat16}) {
    const std::string file = EncodeMap(map, format, {}).value();
    EXPECT_EQ(DecodeMap(Bytes(file), format, 12, 10, {}).status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(DecodeMap(Bytes(file), format, 0, 9, {}).status().code(), absl::StatusCode::kInvalidArgument);
    for (std::size_t cut = 0; cut + 13 < file.size(); cut += 7) {
      EXPECT_FALSE(DecodeMap(Bytes(file.substr(0, cut)), format, 12, 9, {}).ok()) << cut;
    }
  }
  EXPECT_FALSE(EncodeMap(map, MapFormat::kPng8, {1, 1}).ok());
  EXPECT_FALSE(EncodeMap({2, 2, {1}}, MapFormat::kPng8, {}).ok());
}

TEST(MapCodecTest, ResizeIsBilinearAtHalfPixelCentres) {
  const FloatMap map{1, 2, {0, 1}};
  EXPECT_THAT(ResizeMap(map, 1, 4).values, ::testing::ElementsAre(0, 0.25f, 0.75f, 1));
  // A plane stays a plane away from the edges, whatever the factor.
  FloatMap plane{6, 8, {}};
  for (int y = 0; y < 6; ++y) {
    for (int x = 0; x < 8; ++x) plane.values.push_back(static_cast<float>(2 * x + 3 * y));
  }
  const FloatMap big = ResizeMap(plane, 17, 29);
  for (int y = 3; y < 14; ++y) {
    for (int x = 3; x < 26; ++x) {
      const double expected = 2 * ((x + 0.5) * 8 / 29 - 0.5) + 3 * ((y + 0.5) * 6 / 17 - 0.5);
      ASSERT_NEAR(big.values[static_cast<std::size_t>(y * 29 + x)], expected, 1e-5);
    }
  }
}

TEST(MapCodecTest, PoolIsTheMeanOfEachCell) {
  const FloatMap map{2, 4, {1, 2, 3, 4, 5, 6, 7, 8}};
  EXPECT_THAT(PoolMap(map, 1, 2)->values, ::testing::ElementsAre(3.5f, 5.5f));
  EXPECT_FALSE(PoolMap(map, 1, 3).ok());
}

}  // namespace
}  // namespace filo::image
