// What decode.cc needs of each format. Internal to server/image.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/image/decode.h"
#include "server/image/image.h"

namespace filo::image {

using Bytes = std::span<const std::byte>;

// kInvalidArgument on the field "image".
absl::Status Refuse(std::string_view description);

inline std::uint8_t ByteAt(Bytes bytes, std::size_t at) { return std::to_integer<std::uint8_t>(bytes[at]); }
inline std::uint32_t Big16(Bytes b, std::size_t at) { return ByteAt(b, at) << 8 | ByteAt(b, at + 1); }
inline std::uint32_t Big32(Bytes b, std::size_t at) { return Big16(b, at) << 16 | Big16(b, at + 2); }
inline std::uint32_t Little16(Bytes b, std::size_t at) { return ByteAt(b, at) | ByteAt(b, at + 1) << 8; }
inline std::uint32_t Little32(Bytes b, std::size_t at) { return Little16(b, at) | Little16(b, at + 2) << 16; }

// Does `bytes` begin with `magic` at `at`?
bool Holds(Bytes bytes, std::size_t at, std::string_view magic);

// A header-only image with its pixel buffer allocated. Call after the limits were checked.
Image Allocate(const ImageHeader& header);

// Read...Header checks what can be told without decoding and allocates no pixels; sides that do not fit an
// int are refused there. Decode... gets the header that its reader returned, after the limits were checked.
absl::StatusOr<ImageHeader> ReadJpegHeader(Bytes bytes);
absl::StatusOr<Image> DecodeJpeg(Bytes bytes, const ImageHeader& header);
absl::StatusOr<ImageHeader> ReadPngHeader(Bytes bytes);
absl::StatusOr<Image> DecodePng(Bytes bytes, const ImageHeader& header);
absl::StatusOr<ImageHeader> ReadBmpHeader(Bytes bytes);
absl::StatusOr<Image> DecodeBmp(Bytes bytes, const ImageHeader& header);
absl::StatusOr<ImageHeader> ReadTiffHeader(Bytes bytes);
absl::StatusOr<Image> DecodeTiff(Bytes bytes, const ImageHeader& header);
absl::StatusOr<ImageHeader> ReadWebpHeader(Bytes bytes);
absl::StatusOr<Image> DecodeWebp(Bytes bytes, const ImageHeader& header);

}  // namespace filo::image
