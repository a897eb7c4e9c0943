// Frames as a camera's grabber delivers them, without any encoding. Pure functions, thread-safe.
//
// Pixel formats are those of GenICam's Pixel Format Naming Convention (PFNC 2.x). Values of several bytes are
// little-endian; unpacked 10- and 12-bit values sit in the low bits of 16-bit words; packed ones ("p") are a
// bit stream with the lowest bit first, every row beginning on a whole byte.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "absl/status/statusor.h"
#include "server/image/decode.h"
#include "server/image/image.h"

namespace filo::image {

enum class PixelFormat {
  kMono8,
  kMono10,
  kMono10p,
  kMono12,
  kMono12p,
  kMono16,
  kBayerRG8,  // named after the first row's first two pixels
  kBayerGR8,
  kBayerGB8,
  kBayerBG8,
  kBayerRG10,
  kBayerGR10,
  kBayerGB10,
  kBayerBG10,
  kBayerRG12,
  kBayerGR12,
  kBayerGB12,
  kBayerBG12,
  kRGB8,
  kBGR8,
  kYUV422_8,       // Y0 U Y1 V, full range, BT.601
  kYUV422_8_UYVY,  // U Y0 V Y1
};

// "Mono12p", "BayerRG8", ...
const char* PixelFormatName(PixelFormat format);

struct RawFrame {
  PixelFormat format = PixelFormat::kMono8;
  int width = 0;
  int height = 0;
  std::int64_t stride = 0;   // bytes from row to row; 0 = no padding
  int significant_bits = 0;  // kMono16 only: 1..16, 0 = 16
  std::span<const std::byte> data;
};

// Bytes of one row without padding.
std::int64_t RawRowBytes(PixelFormat format, int width);

// Mode kGray for mono formats, kRgb for the others. More than 8 bits are brought to 8 by value * 255 /
// (2^bits - 1), rounded to nearest; Bayer mosaics are filled in (bilinear, by OpenCV, in their own depth)
// before that. Errors (kInvalidArgument) name the field: "width" / "height" (limits; YUV422 needs even
// widths, Bayer at least 4 x 4 pixels), "stride_bytes" (shorter than a row), "data" (not stride * (height -
// 1) + one row, nor stride * height bytes; a value with more bits than the format has), "significant_bits".
absl::StatusOr<Image> DecodeRaw(const RawFrame& frame, const DecodeLimits& limits);

}  // namespace filo::image
