// Encoders of the image tests: files that the tests damage, and the pixels that are in them.
#pragma once

#include <cstdint>
#include <vector>

#include "server/image/image.h"
#include "tests/image/test_support.h"

namespace filo::image::testing {

// Interleaved 8-bit samples with some structure and some noise; the same for the same arguments.
std::vector<std::uint8_t> Picture(int height, int width, int channels);

struct JpegOptions {
  int quality = 85;
  int components = 3;  // 1, 3, or 4 (CMYK, stored inverted as Adobe does)
  bool progressive = false;
  bool one_scan_each = false;  // baseline, every component in a scan of its own
  bool arithmetic = false;
  int restart_rows = 0;  // a restart marker after so many rows of blocks
  bool chroma_halved = true;
};
Buffer WriteJpeg(const std::vector<std::uint8_t>& pixels, int height, int width, const JpegOptions& options);

struct PngOptions {
  int colour_type = 2;  // as in IHDR
  int bit_depth = 8;
  bool interlaced = false;
  int colours = 256;          // palette entries of colour type 3: entry i is (i, 255 - i, i / 2)
  bool transparency = false;  // colour type 3: entry i has alpha i
};
// `pixels`: one byte a sample for depths up to 8, two (big-endian) for 16.
Buffer WritePng(const std::vector<std::uint8_t>& pixels, int height, int width, const PngOptions& options);

// Uncompressed BMP. `bits` 8 with the gray ramp, 16 (5-6-5 bit fields), 24 or 32.
Buffer WriteBmp(const std::vector<std::uint8_t>& pixels, int height, int width, int bits, bool top_down);

struct TiffOptions {
  int compression = 1;  // TIFF's number: 1 none, 5 LZW, 8 Deflate, 32773 PackBits
  int samples = 3;
  int bits = 8;
  int sample_format = 1;  // 3 = floating point
  int rows_per_strip = 16;
  int tile = 0;  // side, 0 = strips
  int pages = 1;
  int max_sample_value = 0;  // 0 = not stated
  int orientation = 0;       // 0 = not stated
};
// `pixels` holds samples in native byte order.
Buffer WriteTiff(const std::vector<std::uint8_t>& pixels, int height, int width, const TiffOptions& options);

// Lossless or lossy (quality 80) WebP of RGB pixels.
Buffer WriteWebp(const std::vector<std::uint8_t>& pixels, int height, int width, bool lossless);

}  // namespace filo::image::testing
