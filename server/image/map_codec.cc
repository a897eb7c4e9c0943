#include "server/image/map_codec.h"

#include <png.h>
#include <zstd.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "fmt/format.h"
#include "server/base/half.h"
#include "server/base/status.h"

namespace filo::image {
namespace {

// Level 3 and no more: half floats of a smooth map shrink to a third within a millisecond, higher levels gain
// 2 %.
constexpr int kZstdLevel = 3;

constexpr float kLargestHalf = 65504.0f;  // maps hold no infinity

// libpng's simplified API: no longjmp, and 16-bit rows in native byte order.
absl::StatusOr<std::string> WritePng(const FloatMap& map, bool wide, ValueRange range) {
  const float scale = (wide ? 65535.0f : 255.0f) / (range.max - range.min);
  const std::size_t count = map.values.size();
  std::vector<std::uint8_t> narrow(wide ? 0 : count);
  std::vector<std::uint16_t> broad(wide ? count : 0);
  const float top = wide ? 65535.0f : 255.0f;
  for (std::size_t i = 0; i < count; ++i) {
    const float code = std::nearbyint(std::clamp((map.values[i] - range.min) * scale, 0.0f, top));
    if (wide) {
      broad[i] = static_cast<std::uint16_t>(code);
    } else {
      narrow[i] = static_cast<std::uint8_t>(code);
    }
  }
  png_image png{};
  png.version = PNG_IMAGE_VERSION;
  png.width = static_cast<png_uint_32>(map.width);
  png.height = static_cast<png_uint_32>(map.height);
  // PNG_FORMAT_LINEAR_Y would mark the codes as linear light; ours are no light at all, and the 16-bit rows
  // are written unchanged either way.
  png.format = wide ? PNG_FORMAT_LINEAR_Y : PNG_FORMAT_GRAY;
  png.flags = PNG_IMAGE_FLAG_FAST;
  const void* pixels = wide ? static_cast<const void*>(broad.data()) : narrow.data();
  png_alloc_size_t size = 0;
  if (png_image_write_to_memory(&png, nullptr, &size, 0, pixels, 0, nullptr) == 0) {
    return absl::InternalError(fmt::format("libpng: {}", png.message));
  }
  std::string file(size, '\0');
  if (png_image_write_to_memory(&png, file.data(), &size, 0, pixels, 0, nullptr) == 0) {
    return absl::InternalError(fmt::format("libpng: {}", png.message));
  }
  file.resize(size);
  return file;
}

absl::StatusOr<FloatMap> ReadPng(std::span<const std::byte> bytes, bool wide, int height, int width,
                                 ValueRange range) {
  png_image png{};
  png.version = PNG_IMAGE_VERSION;
  if (png_image_begin_read_from_memory(&png, bytes.data(), bytes.size()) == 0) {
    return absl::InvalidArgumentError(fmt::format("the map is no PNG file: {}", png.message));
  }
  if (static_cast<int>(png.width) != width || static_cast<int>(png.height) != height) {
    png_image_free(&png);
    return absl::InvalidArgumentError(
        fmt::format("the map's file is {} x {}; it must be {} x {}", png.width, png.height, width, height));
  }
  png.format = wide ? PNG_FORMAT_LINEAR_Y : PNG_FORMAT_GRAY;
  FloatMap map{height, width, {}};
  const std::size_t count = static_cast<std::size_t>(height) * static_cast<std::size_t>(width);
  std::vector<std::uint8_t> narrow(wide ? 0 : count);
  std::vector<std::uint16_t> broad(wide ? count : 0);
  if (png_image_finish_read(&png, nullptr, wide ? static_cast<void*>(broad.data()) : narrow.data(), 0,
                            nullptr) == 0) {
    return absl::InvalidArgumentError(fmt::format("the map's PNG file is damaged: {}", png.message));
  }
  map.values.resize(count);
  const float step = (range.max - range.min) / (wide ? 65535.0f : 255.0f);
  for (std::size_t i = 0; i < count; ++i) {
    map.values[i] = range.min + step * static_cast<float>(wide ? broad[i] : narrow[i]);
  }
  return map;
}

absl::StatusOr<std::string> WriteHalf(const FloatMap& map) {
  std::string raw(map.values.size() * 2, '\0');
  for (std::size_t i = 0; i < map.values.size(); ++i) {
    const std::uint16_t half = FloatToHalf(std::clamp(map.values[i], -kLargestHalf, kLargestHalf));
    raw[2 * i] = static_cast<char>(half & 0xFFu);
    raw[2 * i + 1] = static_cast<char>(half >> 8);
  }
  std::string packed(ZSTD_compressBound(raw.size()), '\0');
  const std::size_t size = ZSTD_compress(packed.data(), packed.size(), raw.data(), raw.size(), kZstdLevel);
  if (ZSTD_isError(size) != 0) return absl::InternalError(fmt::format("zstd: {}", ZSTD_getErrorName(size)));
  packed.resize(size);
  return packed;
}

absl::StatusOr<FloatMap> ReadHalf(std::span<const std::byte> bytes, int height, int width) {
  FloatMap map{height, width, {}};
  const std::size_t count = static_cast<std::size_t>(height) * static_cast<std::size_t>(width);
  std::vector<std::uint8_t> raw(count * 2);
  const std::size_t size = ZSTD_decompress(raw.data(), raw.size(), bytes.data(), bytes.size());
  if (ZSTD_isError(size) != 0) {
    return absl::InvalidArgumentError(fmt::format("the map is no zstd frame of {} x {} half floats: {}",
                                                  width, height, ZSTD_getErrorName(size)));
  }
  if (size != raw.size()) {
    return absl::InvalidArgumentError(
        fmt::format("the map holds {} bytes; {} x {} half floats are {}", size, width, height, raw.size()));
  }
  map.values.resize(count);
  for (std::size_t i = 0; i < count; ++i) {
    map.values[i] = HalfToFloat(static_cast<std::uint16_t>(raw[2 * i] | (raw[2 * i + 1] << 8)));
  }
  return map;
}

// The two input positions and the weight of the second, for each output position.
struct Tap {
  int low;
  int high;
  float weight;
};

std::vector<Tap> Taps(int in, int out) {
  std::vector<Tap> taps(static_cast<std::size_t>(out));
  for (int i = 0; i < out; ++i) {
    const double position = std::clamp((i + 0.5) * in / out - 0.5, 0.0, in - 1.0);
    const int low = static_cast<int>(position);
    taps[static_cast<std::size_t>(i)] = {low, std::min(low + 1, in - 1), static_cast<float>(position - low)};
  }
  return taps;
}

}  // namespace

FloatMap ResizeMap(const FloatMap& map, int height, int width) {
  if (map.height == height && map.width == width) return map;
  const std::vector<Tap> columns = Taps(map.width, width), rows = Taps(map.height, height);
  FloatMap out{height, width,
               std::vector<float>(static_cast<std::size_t>(height) * static_cast<std::size_t>(width))};
  float* to = out.values.data();
  for (const Tap& row : rows) {
    const float* upper = map.values.data() + static_cast<std::ptrdiff_t>(row.low) * map.width;
    const float* lower = map.values.data() + static_cast<std::ptrdiff_t>(row.high) * map.width;
    for (const Tap& column : columns) {
      const float above = upper[column.low] + (upper[column.high] - upper[column.low]) * column.weight;
      const float below = lower[column.low] + (lower[column.high] - lower[column.low]) * column.weight;
      *to++ = above + (below - above) * row.weight;
    }
  }
  return out;
}

absl::StatusOr<FloatMap> PoolMap(const FloatMap& map, int height, int width) {
  if (height <= 0 || width <= 0 || map.height % height != 0 || map.width % width != 0) {
    return absl::InvalidArgumentError(
        fmt::format("a map of {} x {} cannot be pooled to {} x {}", map.width, map.height, width, height));
  }
  const int rows = map.height / height, columns = map.width / width;
  FloatMap out{height, width, {}};
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      double sum = 0;
      for (int r = 0; r < rows; ++r) {
        const float* from =
            map.values.data() + (static_cast<std::ptrdiff_t>(y) * rows + r) * map.width + x * columns;
        for (int c = 0; c < columns; ++c) sum += static_cast<double>(from[c]);
      }
      out.values.push_back(static_cast<float>(sum / (rows * columns)));
    }
  }
  return out;
}

absl::StatusOr<std::string> EncodeMap(const FloatMap& map, MapFormat format, ValueRange range) {
  if (map.height <= 0 || map.width <= 0 ||
      map.values.size() != static_cast<std::size_t>(map.height) * static_cast<std::size_t>(map.width)) {
    return absl::InvalidArgumentError(fmt::format("a map of {} x {} with {} values cannot be encoded",
                                                  map.width, map.height, map.values.size()));
  }
  if (!std::all_of(map.values.begin(), map.values.end(), [](float v) { return std::isfinite(v); })) {
    return absl::InternalError(
        "a value of the map is not a finite number");  // a bug upstream, not to be painted over
  }
  if (format == MapFormat::kZstdFloat16) return WriteHalf(map);
  if (!(range.max > range.min)) {
    return absl::InvalidArgumentError(fmt::format("the range {} to {} is empty", range.min, range.max));
  }
  return WritePng(map, format == MapFormat::kPng16, range);
}

absl::StatusOr<FloatMap> DecodeMap(std::span<const std::byte> bytes, MapFormat format, int height, int width,
                                   ValueRange range) {
  if (height <= 0 || width <= 0) {
    return absl::InvalidArgumentError(fmt::format("a map of {} x {} does not exist", width, height));
  }
  if (format == MapFormat::kZstdFloat16) return ReadHalf(bytes, height, width);
  return ReadPng(bytes, format == MapFormat::kPng16, height, width, range);
}

}  // namespace filo::image
