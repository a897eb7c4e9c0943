// Anomaly maps as bytes: 8- and 16-bit PNG over a fixed value range, and half floats in zstd.
//
// The range is a parameter, never taken from the map: two maps encoded with one range can be compared pixel
// by pixel. Pure functions, thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace filo::image {

// Row-major, height * width finite floats.
struct FloatMap {
  int height = 0;
  int width = 0;
  std::vector<float> values;
};

// Bilinear, half-pixel centres (output column c samples input column (c + 0.5) * in / out - 0.5), edges
// replicated. The same size returns a copy.
FloatMap ResizeMap(const FloatMap& map, int height, int width);

// The mean over equal rectangles; height and width must divide the map's sides (kInvalidArgument otherwise).
// For a map at model size this gives one value a patch.
absl::StatusOr<FloatMap> PoolMap(const FloatMap& map, int height, int width);

enum class MapFormat { kPng8, kPng16, kZstdFloat16 };

struct ValueRange {
  float min = 0;
  float max = 1;
};

// PNG: round((v - min) / (max - min) * 255 or 65535), clipped to the range. Half floats: the values
// themselves, rounded to nearest even, little-endian rows in one zstd frame; `range` is not used. Errors:
// kInvalidArgument for an empty map or range; kInternal for a value that is not finite.
absl::StatusOr<std::string> EncodeMap(const FloatMap& map, MapFormat format, ValueRange range);

// The reverse: PNG codes are off by half a step at most ((max - min) / 510 or / 131070), half floats by 2^-11
// relative. `height` and `width` are what the sender says; a file that holds another size, damaged bytes, or
// more than `height` * `width` values is kInvalidArgument.
absl::StatusOr<FloatMap> DecodeMap(std::span<const std::byte> bytes, MapFormat format, int height, int width,
                                   ValueRange range);

}  // namespace filo::image
