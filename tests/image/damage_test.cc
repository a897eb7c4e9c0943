// Whole or refused: files of every format, cut at every byte and damaged inside.
//
// What cannot be promised: a JPEG, lossy WebP, BMP, LZW or uncompressed TIFF has no checksum, so a flipped
// bit that leaves a well-formed file is another picture, not a damaged one. What is promised for those: no
// crash, the full size, and a cut is always found. PNG and Deflate TIFF have checksums, so there every
// damaged pixel is found.
#include <gtest/gtest.h>

#include <functional>
#include <random>
#include <string>

#include "server/image/decode.h"
#include "server/image/resize.h"
#include "tests/image/test_support.h"
#include "tests/image/writers.h"

namespace filo::image {
namespace {

using testing::Buffer;
using testing::Picture;

constexpr int kHeight = 35;
constexpr int kWidth = 43;

struct Kind {
  std::string name;
  Buffer bytes;
  bool checksummed = false;  // every byte that matters to pixels is covered
};

std::vector<Kind> Kinds() {
  const auto rgb = Picture(kHeight, kWidth, 3);
  const auto gray = Picture(kHeight, kWidth, 1);
  const auto cmyk = Picture(kHeight, kWidth, 4);
  const auto jpeg = [&](const testing::JpegOptions& options) {
    return testing::WriteJpeg(options.components == 1   ? gray
                              : options.components == 3 ? rgb
                                                        : cmyk,
                              kHeight, kWidth, options);
  };
  const auto tiff = [&](const testing::TiffOptions& options) {
    return testing::WriteTiff(rgb, kHeight, kWidth, options);
  };
  return {
      {"baseline", jpeg({})},
      {"restarts", jpeg({.restart_rows = 1})},
      {"full_chroma", jpeg({.chroma_halved = false})},
      {"gray_jpeg", jpeg({.components = 1})},
      {"cmyk_jpeg", jpeg({.components = 4})},
      {"progressive", jpeg({.progressive = true})},
      {"progressive_gray", jpeg({.components = 1, .progressive = true})},
      {"scan_per_component", jpeg({.one_scan_each = true})},
      {"png", testing::WritePng(rgb, kHeight, kWidth, {}), true},
      {"png_interlaced", testing::WritePng(rgb, kHeight, kWidth, {.interlaced = true}), true},
      {"png_palette", testing::WritePng(gray, kHeight, kWidth, {.colour_type = 3}), true},
      {"png_gray16",
       testing::WritePng(Picture(kHeight, kWidth, 2), kHeight, kWidth, {.colour_type = 0, .bit_depth = 16}),
       true},
      {"bmp24", testing::WriteBmp(rgb, kHeight, kWidth, 24, false)},
      {"bmp32_top_down", testing::WriteBmp(rgb, kHeight, kWidth, 32, true)},
      {"bmp8", testing::WriteBmp(gray, kHeight, kWidth, 8, false)},
      {"bmp16", testing::WriteBmp(rgb, kHeight, kWidth, 16, false)},
      {"tiff", tiff({})},
      {"tiff_lzw", tiff({.compression = 5})},
      {"tiff_deflate", tiff({.compression = 8})},
      {"tiff_packbits", tiff({.compression = 32773})},
      {"tiff_tiled_deflate", tiff({.compression = 8, .tile = 16})},
      {"webp", testing::WriteWebp(rgb, kHeight, kWidth, false)},
      {"webp_lossless", testing::WriteWebp(rgb, kHeight, kWidth, true)},
  };
}

Image Whole(const Kind& kind) {
  auto image = Decode(kind.bytes, DecodeLimits{});
  EXPECT_TRUE(image.ok()) << kind.name << ": " << image.status();
  return image.ok() ? *std::move(image) : Image{};
}

void ExpectRefusedOrSame(const absl::StatusOr<Image>& image, const Image& whole, const std::string& what) {
  if (!image.ok()) {
    ASSERT_EQ(image.status().code(), absl::StatusCode::kInvalidArgument) << what << ": " << image.status();
    return;
  }
  ASSERT_EQ(image->height, whole.height) << what;
  ASSERT_EQ(image->width, whole.width) << what;
  ASSERT_EQ(ConvertToRgb(*image).pixels, ConvertToRgb(whole).pixels) << what;
}

TEST(Damage, WholeFilesHoldThePixelsWritten) {
  const auto rgb = Picture(kHeight, kWidth, 3);
  for (const Kind& kind : Kinds()) {
    const Image image = Whole(kind);
    ASSERT_EQ(image.height, kHeight) << kind.name;
    ASSERT_EQ(image.width, kWidth) << kind.name;
    EXPECT_TRUE(image.warnings.empty()) << kind.name << ": " << image.warnings[0];
    const bool lossless =
        kind.name != "webp" && kind.name != "bmp16" && kind.name.find("jpeg") == std::string::npos;
    if (image.mode == Mode::kRgb && lossless && (kind.bytes[0] != std::byte{0xff})) {
      EXPECT_EQ(image.pixels, rgb) << kind.name;
    }
  }
}

// A file may lose its end without losing a pixel (a JPEG's end marker; a TIFF's directory lies at the end, so
// not there). Then the pixels must be the same and the reply must carry a warning.
TEST(Damage, CutAtEveryByte) {
  for (const Kind& kind : Kinds()) {
    const Image whole = Whole(kind);
    int accepted = 0;
    for (std::size_t size = 0; size < kind.bytes.size(); ++size) {
      const auto image = Decode(std::span(kind.bytes).first(size), DecodeLimits{});
      ExpectRefusedOrSame(image, whole, kind.name + " cut to " + std::to_string(size));
      if (HasFatalFailure()) return;
      if (image.ok()) {
        ++accepted;
        EXPECT_FALSE(image->warnings.empty()) << kind.name << " cut to " << size;
      }
    }
    const bool jpeg = kind.bytes[0] == std::byte{0xff};
    EXPECT_EQ(accepted, jpeg ? 2 : 0) << kind.name;  // the end marker's two bytes
  }
}

TEST(Damage, EveryFlippedByteOfAChecksummedFileIsFound) {
  for (const Kind& kind : Kinds()) {
    if (!kind.checksummed) continue;
    const Image whole = Whole(kind);
    for (std::size_t at = 0; at < kind.bytes.size(); ++at) {
      for (std::byte flip : {std::byte{1}, std::byte{0x80}, std::byte{0xff}}) {
        Buffer damaged = kind.bytes;
        damaged[at] ^= flip;
        ASSERT_FALSE(Decode(damaged, DecodeLimits{}).ok()) << kind.name << " byte " << at;
      }
    }
  }
}

TEST(Damage, EveryFlippedByteOfADeflatedStripIsFound) {
  for (const Kind& kind : Kinds()) {
    if (kind.name != "tiff_deflate") continue;
    const Image whole = Whole(kind);
    // libtiff writes the strips first (from byte 8), the directory behind them.
    std::size_t directory = 0;
    for (int i = 0; i < 4; ++i) directory |= std::to_integer<std::size_t>(kind.bytes[4 + i]) << (8 * i);
    ASSERT_GT(directory, 500u);
    for (std::size_t at = 8; at < directory; ++at) {
      Buffer damaged = kind.bytes;
      damaged[at] ^= std::byte{0x10};
      ExpectRefusedOrSame(Decode(damaged, DecodeLimits{}), whole, "byte " + std::to_string(at));
      if (HasFatalFailure()) return;
    }
  }
}

std::vector<std::size_t> Find(const Buffer& bytes, const std::function<bool(unsigned)>& wanted) {
  std::vector<std::size_t> found;
  for (std::size_t at = 2; at + 1 < bytes.size(); ++at) {
    if (bytes[at] == std::byte{0xff} && wanted(std::to_integer<unsigned>(bytes[at + 1]))) found.push_back(at);
  }
  return found;
}

// A hole in the coded data of a JPEG: what lies behind it slides into its place. Huffman codes fall back into
// step, so a hole of one or two blocks can be filled by chance; one of several rows cannot.
TEST(Damage, JpegWithALargeHoleIsRefused) {
  constexpr int kLarge = 160;
  for (bool progressive : {false, true}) {
    for (int components : {1, 3, 4}) {
      const auto bytes = testing::WriteJpeg(Picture(kLarge, kLarge, components), kLarge, kLarge,
                                            {.components = components, .progressive = progressive});
      const std::size_t data = Find(bytes, [](unsigned code) { return code == 0xda; }).at(0) + 20;
      const std::size_t hole = (bytes.size() - data) / 4;
      for (std::size_t at = data; at + hole + 2 < bytes.size(); at += 97) {
        Buffer damaged = bytes;
        damaged.erase(damaged.begin() + at, damaged.begin() + at + hole);
        ASSERT_FALSE(Decode(damaged, DecodeLimits{}).ok())
            << components << (progressive ? " p " : " b ") << at;
      }
    }
  }
}

TEST(Damage, LostOrRepeatedRestartIntervalIsRefused) {
  const auto bytes = testing::WriteJpeg(Picture(200, 64, 3), 200, 64, {.restart_rows = 1});
  const auto restarts = Find(bytes, [](unsigned code) { return code >= 0xd0 && code <= 0xd7; });
  ASSERT_EQ(restarts.size(), 12u);
  for (std::size_t i = 0; i + 1 < restarts.size(); ++i) {
    Buffer lost = bytes;
    lost.erase(lost.begin() + restarts[i], lost.begin() + restarts[i + 1]);
    EXPECT_FALSE(Decode(lost, DecodeLimits{}).ok()) << i;
    Buffer repeated = bytes;
    repeated.insert(repeated.begin() + restarts[i + 1], bytes.begin() + restarts[i],
                    bytes.begin() + restarts[i + 1]);
    EXPECT_FALSE(Decode(repeated, DecodeLimits{}).ok()) << i;
  }
}

TEST(Damage, MissingProgressiveScanIsRefusedEvenWithAnEndMarker) {
  const auto bytes = testing::WriteJpeg(Picture(kHeight, kWidth, 3), kHeight, kWidth, {.progressive = true});
  int cut = 0;
  for (std::size_t at = 2; at + 1 < bytes.size(); ++at) {
    if (bytes[at] != std::byte{0xff} || bytes[at + 1] != std::byte{0xda}) continue;  // at each scan's start
    Buffer damaged(bytes.begin(), bytes.begin() + at);
    damaged.push_back(std::byte{0xff});
    damaged.push_back(std::byte{0xd9});
    EXPECT_FALSE(Decode(damaged, DecodeLimits{}).ok()) << "scans up to byte " << at;
    ++cut;
  }
  EXPECT_GE(cut, 8);
}

TEST(Damage, MissingScanOfAComponentIsRefused) {
  const auto bytes =
      testing::WriteJpeg(Picture(kHeight, kWidth, 3), kHeight, kWidth, {.one_scan_each = true});
  for (std::size_t at = bytes.size() - 2; at > 0; --at) {
    if (bytes[at] != std::byte{0xff} || bytes[at + 1] != std::byte{0xda}) continue;
    Buffer damaged(bytes.begin(), bytes.begin() + at);
    damaged.push_back(std::byte{0xff});
    damaged.push_back(std::byte{0xd9});
    const auto image = Decode(damaged, DecodeLimits{});
    ASSERT_FALSE(image.ok());
    return;
  }
  FAIL() << "no scan found";
}

// Whatever happens to the bytes: no crash, no half-sized image. (Under the sanitizers this is the point.)
TEST(Damage, RandomDamageNeverCrashes) {
  std::mt19937 random(11);
  for (const Kind& kind : Kinds()) {
    for (int round = 0; round < 250; ++round) {
      Buffer damaged = kind.bytes;
      for (unsigned i = 0; i <= random() % 8; ++i) {
        damaged[random() % damaged.size()] = static_cast<std::byte>(random() & 255);
      }
      const auto image = Decode(damaged, {.max_pixels = 1 << 16});
      if (!image.ok()) continue;
      ASSERT_EQ(image->pixels.size(),
                static_cast<std::size_t>(image->height) * image->width * BytesPerPixel(image->mode));
    }
  }
}

}  // namespace
}  // namespace filo::image
