// One hardened path from an encoded file to pixels. docs/images.md holds the table of what is accepted.
//
// Pixels equal Pillow's in the file's own mode. Whatever is not decoded whole is refused: a part must never
// be judged on rows that the file does not hold. All functions are pure and thread-safe; no input crashes
// them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "absl/status/statusor.h"
#include "server/image/image.h"

namespace filo::image {

// Checked against the header, before a pixel is allocated.
struct DecodeLimits {
  std::size_t max_bytes = std::size_t{64} << 20;     // of the encoded file
  std::int64_t max_pixels = std::int64_t{64} << 20;  // height * width
  int max_side = 32768;                              // pixels
  int min_side = 1;                                  // pixels
};

enum class Gray16 {
  kScale,   // brought to 8 bits by the significant bits; what a server needs
  kPillow,  // kept as kGray16, which Pillow (and the paper's code) clips at 255
};

struct DecodeOptions {
  // Significant bits of 16-bit gray (1..16, right-aligned), when the sender knows them better than the file;
  // 0 = take the file's word: TIFF's MaxSampleValue, else 16. Must be 0 for any other image.
  int significant_bits = 0;
  Gray16 gray16 = Gray16::kScale;
};

enum class Format { kJpeg, kPng, kBmp, kTiff, kWebp };

const char* FormatName(Format format);

// What the header promises; nothing has been decoded.
struct ImageHeader {
  Format format = Format::kJpeg;
  int height = 0;
  int width = 0;
  Mode mode = Mode::kRgb;
  int orientation = 1;       // as Image::orientation
  int significant_bits = 0;  // declared by the file for 16-bit gray, 0 = undeclared
};

// Recognises the format by its first bytes and reads the header. Errors: kInvalidArgument on the field
// "image", saying which limit is exceeded, which format or variant is not accepted, or where the file is
// damaged.
absl::StatusOr<ImageHeader> ReadHeader(std::span<const std::byte> bytes, const DecodeLimits& limits);

// Decodes a whole image. Errors as ReadHeader, also for options.significant_bits out of range or exceeded by
// a pixel. Warnings that belong in the reply are in Image::warnings.
absl::StatusOr<Image> Decode(std::span<const std::byte> bytes, const DecodeLimits& limits,
                             const DecodeOptions& options = {});

// 16-bit gray to 8 bits: value * 255 / (2^significant_bits - 1), rounded to nearest. Error (field
// "significant_bits") when a pixel exceeds 2^significant_bits - 1. Other modes are returned as they are.
absl::StatusOr<Image> ScaleGray16(Image image, int significant_bits);

}  // namespace filo::image
