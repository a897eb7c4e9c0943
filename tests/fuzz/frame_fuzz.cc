// Any bytes at all as a raw frame, a map or a run-length string: an error, or a result of the stated size.
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <span>
#include <string>

#include "server/image/map_codec.h"
#include "server/image/mask.h"
#include "server/image/raw_frame.h"
#include "server/image/resize.h"

namespace {

void Demand(bool condition, const char* what) {
  if (condition) return;
  std::fprintf(stderr, "violated: %s\n", what);
  std::abort();
}

void TryFrame(std::span<const std::uint8_t> head, std::span<const std::byte> data) {
  filo::image::RawFrame frame;
  frame.format = static_cast<filo::image::PixelFormat>(head[0] % 22);
  frame.width = head[1];
  frame.height = head[2];
  frame.stride = head[3];
  frame.significant_bits = head[4] % 18;
  // Half of the time as many bytes as the frame asks for, so that more than the size check is reached.
  frame.data = data;
  const std::int64_t row = filo::image::RawRowBytes(frame.format, frame.width);
  const std::int64_t wanted = (frame.stride == 0 ? row : frame.stride) * frame.height;
  if (head[5] % 2 == 0 && wanted <= static_cast<std::int64_t>(data.size())) {
    frame.data = data.first(static_cast<std::size_t>(wanted));
  }
  const auto image = filo::image::DecodeRaw(frame, {});
  if (!image.ok()) {
    Demand(image.status().code() == absl::StatusCode::kInvalidArgument, "a refusal is kInvalidArgument");
    return;
  }
  Demand(image->pixels.size() ==
             static_cast<std::size_t>(frame.width) * frame.height * filo::image::BytesPerPixel(image->mode),
         "the pixels fit the sides");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 8) return 0;
  const std::span head(data, 6);
  const auto rest = std::as_bytes(std::span(data + 6, size - 6));
  TryFrame(head, rest);
  const int height = head[1] + 1;
  const int width = head[2] + 1;
  const auto format = static_cast<filo::image::MapFormat>(head[0] % 3);
  const auto map = filo::image::DecodeMap(rest, format, height, width, {});
  if (map.ok())
    Demand(map->values.size() == static_cast<std::size_t>(height) * width, "the map fits its sides");
  const std::string text(reinterpret_cast<const char*>(data + 6), size - 6);
  const auto mask = filo::image::FromCocoRle(text, height, width);
  if (mask.ok()) Demand(mask->size() == static_cast<std::size_t>(height) * width, "the mask fits its sides");
  return 0;
}
