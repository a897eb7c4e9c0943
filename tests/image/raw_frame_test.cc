// Camera frames against references that share no code with the decoder: bits written one by one, the mosaic
// filled in by the textbook, colours from the published primaries.
#include "server/image/raw_frame.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <string>

#include "server/base/status.h"
#include "tests/image/test_support.h"

namespace filo::image {
namespace {

using testing::Buffer;

std::vector<int> Values(int count, int bits) {
  std::mt19937 random(static_cast<unsigned>(count + bits));
  std::vector<int> values;
  for (int i = 0; i < count; ++i) values.push_back(static_cast<int>(random() % (1u << bits)));
  return values;
}

// Bit k of the row's stream is bit k % 8 of byte k / 8.
Buffer Pack(const std::vector<int>& values, int height, int width, int stored, int padding) {
  Buffer out;
  for (int y = 0; y < height; ++y) {
    Buffer row((static_cast<std::size_t>(width) * stored + 7) / 8 + padding);
    for (int x = 0; x < width; ++x) {
      for (int bit = 0; bit < stored; ++bit) {
        const int k = x * stored + bit;
        if ((values[y * width + x] >> bit & 1) != 0) row[k / 8] |= std::byte{1} << (k % 8);
      }
    }
    out.insert(out.end(), row.begin(), row.end());
  }
  return out;
}

TEST(RawFrame, MonoOfEveryDepth) {
  struct Case {
    PixelFormat format;
    int bits, stored;
  };
  for (const Case& c : {Case{PixelFormat::kMono8, 8, 8}, Case{PixelFormat::kMono10, 10, 16},
                        Case{PixelFormat::kMono10p, 10, 10}, Case{PixelFormat::kMono12, 12, 16},
                        Case{PixelFormat::kMono12p, 12, 12}, Case{PixelFormat::kMono16, 16, 16}}) {
    SCOPED_TRACE(PixelFormatName(c.format));
    for (int width : {1, 2, 3, 4, 5, 7, 32}) {
      const std::vector<int> values = Values(5 * width, c.bits);
      for (int padding : {0, 3}) {
        const Buffer data = Pack(values, 5, width, c.stored, padding);
        const std::int64_t stride = padding == 0 ? 0 : static_cast<std::int64_t>(data.size()) / 5;
        const auto image =
            DecodeRaw({.format = c.format, .width = width, .height = 5, .stride = stride, .data = data}, {});
        ASSERT_TRUE(image.ok()) << image.status();
        ASSERT_EQ(image->mode, Mode::kGray);
        for (std::size_t i = 0; i < values.size(); ++i) {
          ASSERT_EQ(image->pixels[i], std::lround(values[i] * 255.0 / ((1 << c.bits) - 1))) << i;
        }
      }
    }
  }
}

TEST(RawFrame, Mono16WithSignificantBits) {
  const std::vector<int> values = {0, 1, 2047, 2048, 4094, 4095};
  const Buffer data = Pack(values, 2, 3, 16, 0);
  RawFrame frame{
      .format = PixelFormat::kMono16, .width = 3, .height = 2, .significant_bits = 12, .data = data};
  const auto image = DecodeRaw(frame, {});
  ASSERT_TRUE(image.ok()) << image.status();
  EXPECT_EQ(image->pixels, (std::vector<std::uint8_t>{0, 0, 127, 128, 255, 255}));
  frame.significant_bits = 11;
  EXPECT_EQ(GetFieldViolation(DecodeRaw(frame, {}).status())->field, "significant_bits");
  frame.significant_bits = 17;
  EXPECT_EQ(GetFieldViolation(DecodeRaw(frame, {}).status())->field, "significant_bits");
}

TEST(RawFrame, ValuesBeyondTheFormatAreRefused) {
  const Buffer data = Pack({5, 4096, 7, 8}, 2, 2, 16, 0);
  const auto image = DecodeRaw({.format = PixelFormat::kMono12, .width = 2, .height = 2, .data = data}, {});
  ASSERT_FALSE(image.ok());
  const auto violation = GetFieldViolation(image.status());
  EXPECT_EQ(violation->field, "data");
  EXPECT_NE(violation->description.find("4096 at row 0, column 1"), std::string::npos);
}

// Which colour a Bayer format samples at (row, column): 0 red, 1 green, 2 blue.
int ColourAt(PixelFormat format, int row, int column) {
  const std::string name = std::string(PixelFormatName(format)).substr(5, 2);  // the first row
  const auto index = [](char c) { return c == 'R' ? 0 : c == 'G' ? 1 : 2; };
  if (row % 2 == 0) return index(name[column % 2]);
  // The second row: the missing colour and green, green below the coloured one.
  const int missing = name.find('R') != std::string::npos ? 2 : 0;
  const bool green = name[column % 2] != 'G';
  return green ? 1 : missing;
}

// Bilinear by definition: the mean of the neighbours of that colour in the 3 x 3 around, rounded half up.
int FillIn(const std::vector<int>& mosaic, PixelFormat format, int width, int row, int column, int colour) {
  if (ColourAt(format, row, column) == colour) return mosaic[row * width + column];
  int sum = 0, count = 0;
  for (int y = row - 1; y <= row + 1; ++y) {
    for (int x = column - 1; x <= column + 1; ++x) {
      if (ColourAt(format, y, x) != colour) continue;
      sum += mosaic[y * width + x];
      ++count;
    }
  }
  return (2 * sum + count) / (2 * count);
}

TEST(RawFrame, BayerAgreesWithTheTextbook) {
  constexpr int kWidth = 37, kHeight = 22;
  for (int index = static_cast<int>(PixelFormat::kBayerRG8);
       index <= static_cast<int>(PixelFormat::kBayerBG12); ++index) {
    const auto format = static_cast<PixelFormat>(index);
    SCOPED_TRACE(PixelFormatName(format));
    const std::string name = PixelFormatName(format);
    const int bits = std::stoi(name.substr(7));
    const std::vector<int> mosaic = Values(kWidth * kHeight, bits);
    const Buffer data = Pack(mosaic, kHeight, kWidth, bits == 8 ? 8 : 16, 0);
    const auto image = DecodeRaw({.format = format, .width = kWidth, .height = kHeight, .data = data}, {});
    ASSERT_TRUE(image.ok()) << image.status();
    ASSERT_EQ(image->mode, Mode::kRgb);
    for (int row = 0; row < kHeight; ++row) {
      for (int column = 0; column < kWidth; ++column) {
        // The border repeats its inner neighbours.
        const int r = std::clamp(row, 1, kHeight - 2), c = std::clamp(column, 1, kWidth - 2);
        for (int colour = 0; colour < 3; ++colour) {
          const int filled = FillIn(mosaic, format, kWidth, r, c, colour);
          ASSERT_EQ(image->pixels[(row * kWidth + column) * 3 + colour],
                    std::lround(filled * 255.0 / ((1 << bits) - 1)))
              << row << " " << column << " " << colour;
        }
      }
    }
  }
}

// A frame of one colour must come out as that colour: a swapped pattern would show here at once.
TEST(RawFrame, BayerOfOneColourHasThatColour) {
  for (int index = static_cast<int>(PixelFormat::kBayerRG8);
       index <= static_cast<int>(PixelFormat::kBayerBG8); ++index) {
    const auto format = static_cast<PixelFormat>(index);
    const int colour[] = {200, 90, 30};
    std::vector<int> mosaic;
    for (int y = 0; y < 8; ++y) {
      for (int x = 0; x < 8; ++x) mosaic.push_back(colour[ColourAt(format, y, x)]);
    }
    const Buffer data = Pack(mosaic, 8, 8, 8, 0);
    const auto image = DecodeRaw({.format = format, .width = 8, .height = 8, .data = data}, {});
    ASSERT_TRUE(image.ok());
    for (int i = 0; i < 64 * 3; ++i) ASSERT_EQ(image->pixels[i], colour[i % 3]) << PixelFormatName(format);
  }
}

TEST(RawFrame, RgbAndBgrWithPaddedRows) {
  const std::vector<std::uint8_t> rows = {1, 2, 3, 4, 5, 6, 99, 7, 8, 9, 10, 11, 12, 99};
  const Buffer data = testing::ToBuffer(rows);
  RawFrame frame{.format = PixelFormat::kRGB8, .width = 2, .height = 2, .stride = 7, .data = data};
  EXPECT_EQ(DecodeRaw(frame, {})->pixels, (std::vector<std::uint8_t>{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}));
  frame.format = PixelFormat::kBGR8;
  EXPECT_EQ(DecodeRaw(frame, {})->pixels, (std::vector<std::uint8_t>{3, 2, 1, 6, 5, 4, 9, 8, 7, 12, 11, 10}));
  frame.data = std::span(data).first(13);  // the last row without its padding
  EXPECT_TRUE(DecodeRaw(frame, {}).ok());
}

// Full-range BT.601 codes of the primaries (e.g. ITU-T T.871, rounded) and what they stand for.
TEST(RawFrame, YuvPrimaries) {
  struct Case {
    std::uint8_t y, u, v;
    int r, g, b;
  };
  for (const Case& c :
       {Case{255, 128, 128, 255, 255, 255}, Case{0, 128, 128, 0, 0, 0}, Case{128, 128, 128, 128, 128, 128},
        Case{76, 85, 255, 255, 0, 0}, Case{150, 44, 21, 0, 255, 0}, Case{29, 255, 107, 0, 0, 255}}) {
    const Buffer yuyv = testing::ToBuffer(std::vector<std::uint8_t>{c.y, c.u, 10, c.v});
    const Buffer uyvy = testing::ToBuffer(std::vector<std::uint8_t>{c.u, c.y, c.v, 10});
    const auto first =
        DecodeRaw({.format = PixelFormat::kYUV422_8, .width = 2, .height = 1, .data = yuyv}, {});
    const auto second =
        DecodeRaw({.format = PixelFormat::kYUV422_8_UYVY, .width = 2, .height = 1, .data = uyvy}, {});
    ASSERT_TRUE(first.ok() && second.ok());
    EXPECT_EQ(first->pixels, second->pixels);
    EXPECT_NEAR(first->pixels[0], c.r, 2);
    EXPECT_NEAR(first->pixels[1], c.g, 2);
    EXPECT_NEAR(first->pixels[2], c.b, 2);
  }
}

TEST(RawFrame, SizesAreCheckedAgainstTheBytes) {
  const Buffer data(100);
  const auto field = [&](RawFrame frame) {
    frame.data = std::span(data).first(std::min<std::size_t>(frame.data.size(), 100));
    const auto image = DecodeRaw(frame, {.max_side = 1000});
    EXPECT_EQ(image.status().code(), absl::StatusCode::kInvalidArgument);
    const auto violation = GetFieldViolation(image.status());
    return violation ? violation->field : "none";
  };
  EXPECT_EQ(field({.format = PixelFormat::kMono8, .width = 10, .height = 11, .data = data}), "data");
  EXPECT_EQ(field({.format = PixelFormat::kMono8, .width = 10, .height = 9, .data = data}), "data");
  EXPECT_EQ(field({.format = PixelFormat::kMono8, .width = 10, .height = 10, .stride = 9, .data = data}),
            "stride_bytes");
  EXPECT_EQ(field({.format = PixelFormat::kMono8, .width = 10, .height = 10, .stride = -1, .data = data}),
            "stride_bytes");
  EXPECT_EQ(
      field({.format = PixelFormat::kMono8, .width = 10, .height = 10, .stride = 1LL << 62, .data = data}),
      "stride_bytes");
  EXPECT_EQ(field({.format = PixelFormat::kMono8, .width = 0, .height = 10, .data = data}), "width");
  EXPECT_EQ(field({.format = PixelFormat::kMono8, .width = 1001, .height = 10, .data = data}), "width");
  EXPECT_EQ(field({.format = PixelFormat::kMono8, .width = 10, .height = -3, .data = data}), "height");
  EXPECT_EQ(field({.format = PixelFormat::kYUV422_8, .width = 5, .height = 10, .data = data}), "width");
  EXPECT_EQ(field({.format = PixelFormat::kBayerRG8, .width = 3, .height = 10, .data = data}), "width");
  EXPECT_EQ(
      field({.format = PixelFormat::kMono8, .width = 10, .height = 10, .significant_bits = 8, .data = data}),
      "significant_bits");
}

}  // namespace
}  // namespace filo::image
