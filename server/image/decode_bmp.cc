// BMP, read by ourselves: uncompressed, 1, 4, 8, 16, 24 and 32 bits, both row orders, modes as Pillow chooses
// them.
#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <string>
#include <vector>

#include "fmt/format.h"
#include "server/base/status.h"
#include "server/image/codec.h"

namespace filo::image {
namespace {

constexpr std::size_t kFileHeader = 14;
constexpr std::uint32_t kUncompressed = 0, kBitFields = 3;

// Where the channels of a pixel lie: byte offsets for 24 and 32 bits, green's width for 16.
struct Layout {
  int bytes = 0;
  std::array<int, 4> offset{};  // red, green, blue, alpha
  bool alpha = false;
  int green_bits = 0;  // 16-bit pixels: 5 or 6
};

struct BmpHeader {
  ImageHeader image;
  int bits = 0;
  bool top_down = false;
  std::size_t data_offset = 0;
  std::size_t row_bytes = 0;
  int colours = 0;  // palette entries, for bits <= 8
  std::size_t palette_offset = 0;
  std::size_t palette_step = 0;
  Layout layout;
};

absl::Status CutShort() { return Refuse("the BMP is cut short; not all of its pixels are there"); }

// The bit-field layouts that Pillow reads.
std::optional<Layout> LayoutOfMasks(int bits, const std::array<std::uint32_t, 4>& masks) {
  struct Known {
    int bits;
    std::array<std::uint32_t, 4> masks;
    Layout layout;
  };
  static const std::array<Known, 11> kKnown = {{
      {32, {0xff0000, 0xff00, 0xff, 0}, {4, {2, 1, 0, 0}, false, 0}},
      {32, {0xff000000, 0xff0000, 0xff00, 0}, {4, {3, 2, 1, 0}, false, 0}},
      {32, {0xff000000, 0xff00, 0xff, 0}, {4, {3, 1, 0, 0}, false, 0}},
      {32, {0xff000000, 0xff0000, 0xff00, 0xff}, {4, {3, 2, 1, 0}, true, 0}},
      {32, {0xff, 0xff00, 0xff0000, 0xff000000}, {4, {0, 1, 2, 3}, true, 0}},
      {32, {0xff0000, 0xff00, 0xff, 0xff000000}, {4, {2, 1, 0, 3}, true, 0}},
      {32, {0xff000000, 0xff00, 0xff, 0xff0000}, {4, {3, 1, 0, 2}, true, 0}},
      {32, {0, 0, 0, 0}, {4, {2, 1, 0, 3}, true, 0}},
      {24, {0xff0000, 0xff00, 0xff, 0}, {3, {2, 1, 0, 0}, false, 0}},
      {16, {0xf800, 0x7e0, 0x1f, 0}, {2, {}, false, 6}},
      {16, {0x7c00, 0x3e0, 0x1f, 0}, {2, {}, false, 5}},
  }};
  for (const Known& known : kKnown) {
    const bool alpha_matters = bits == 32;
    if (known.bits == bits &&
        std::equal(masks.begin(), masks.begin() + (alpha_matters ? 4 : 3), known.masks.begin())) {
      return known.layout;
    }
  }
  return std::nullopt;
}

absl::StatusOr<Layout> ReadLayout(Bytes bytes, std::size_t header_size, int bits, std::uint32_t compression) {
  if (bits <= 8) return Layout{};
  if (compression == kUncompressed) {
    if (bits == 16) return Layout{2, {}, false, 5};
    return Layout{bits / 8, {2, 1, 0, 0}, false, 0};
  }
  // The masks follow the 40-byte header, or are part of a longer one, at the same place.
  std::array<std::uint32_t, 4> masks{};
  const std::size_t at = kFileHeader + 40;
  const int count = header_size >= 56 ? 4 : 3;
  if (bytes.size() < at + 4 * count) return CutShort();
  for (int i = 0; i < count; ++i) masks[i] = Little32(bytes, at + 4 * i);
  const std::optional<Layout> layout = LayoutOfMasks(bits, masks);
  if (!layout) {
    return Refuse(
        fmt::format("BMP with {} bits and masks {:x}, {:x}, {:x}, {:x} is not accepted; use 24 bits", bits,
                    masks[0], masks[1], masks[2], masks[3]));
  }
  return *layout;
}

// Pillow's rule: a palette that is the gray ramp itself (black and white for two colours) is no palette.
bool IsGrayRamp(Bytes bytes, const BmpHeader& header) {
  for (int i = 0; i < header.colours; ++i) {
    const std::size_t at = header.palette_offset + i * header.palette_step;
    const int gray = header.colours == 2 ? i * 255 : i;
    for (int c = 0; c < 3; ++c) {
      if (ByteAt(bytes, at + c) != gray) return false;
    }
  }
  return true;
}

absl::Status ReadPalette(Bytes bytes, std::size_t header_size, std::uint32_t colours, BmpHeader& header) {
  const std::uint32_t most = 1u << header.bits;
  if (colours > most)
    return Refuse(fmt::format("the BMP is damaged: {} colours in {} bits", colours, header.bits));
  header.colours = static_cast<int>(colours == 0 ? most : colours);
  header.palette_step = header_size == 12 ? 3 : 4;
  header.palette_offset = kFileHeader + header_size;
  const std::size_t end = header.palette_offset + header.colours * header.palette_step;
  if (bytes.size() < end) return CutShort();
  // Some writers give the palette's place as the pixels'.
  if (header.data_offset == header.palette_offset) header.data_offset = end;
  const bool ramp = IsGrayRamp(bytes, header);
  header.image.mode = Mode::kPalette;
  if (ramp && header.bits == 1) header.image.mode = Mode::kBilevel;
  if (ramp && header.bits == 8 && header.colours > 2) header.image.mode = Mode::kGray;
  return absl::OkStatus();
}

absl::Status ReadSides(Bytes bytes, std::size_t header_size, BmpHeader& header) {
  std::int64_t width = 0;
  std::int64_t height = 0;
  if (header_size == 12) {
    width = Little16(bytes, kFileHeader + 4);
    height = Little16(bytes, kFileHeader + 6);
    header.bits = static_cast<int>(Little16(bytes, kFileHeader + 10));
  } else {
    width = static_cast<std::int32_t>(Little32(bytes, kFileHeader + 4));
    height = static_cast<std::int32_t>(Little32(bytes, kFileHeader + 8));
    header.bits = static_cast<int>(Little16(bytes, kFileHeader + 14));
    header.top_down = height < 0;
    height = std::abs(height);
  }
  if (width < 1 || height < 1 || height > INT32_MAX) {
    return Refuse(fmt::format("the BMP is damaged: a size of {} x {}", width, height));
  }
  header.image.width = static_cast<int>(width);
  header.image.height = static_cast<int>(height);
  return absl::OkStatus();
}

absl::StatusOr<BmpHeader> ReadHeader(Bytes bytes) {
  if (bytes.size() < kFileHeader + 12) return CutShort();
  const std::size_t header_size = Little32(bytes, kFileHeader);
  constexpr std::array<std::size_t, 7> kSizes = {12, 40, 52, 56, 64, 108, 124};
  if (std::find(kSizes.begin(), kSizes.end(), header_size) == kSizes.end()) {
    return Refuse(fmt::format("BMP with a header of {} bytes is not accepted", header_size));
  }
  if (bytes.size() < kFileHeader + header_size) return CutShort();
  BmpHeader header;
  header.image.format = Format::kBmp;
  header.data_offset = Little32(bytes, 10);
  FILO_RETURN_IF_ERROR(ReadSides(bytes, header_size, header));
  const std::uint32_t compression = header_size == 12 ? kUncompressed : Little32(bytes, kFileHeader + 16);
  const int bits = header.bits;
  if (bits != 1 && bits != 4 && bits != 8 && bits != 16 && bits != 24 && bits != 32) {
    return Refuse(fmt::format("BMP with {} bits a pixel is not accepted; use 8 or 24", bits));
  }
  if (compression != kUncompressed && !(compression == kBitFields && bits >= 16)) {
    return Refuse(fmt::format("BMP with compression {} is not accepted; use none, or PNG", compression));
  }
  FILO_ASSIGN_OR_RETURN(header.layout, ReadLayout(bytes, header_size, bits, compression));
  if (bits <= 8) {
    FILO_RETURN_IF_ERROR(
        ReadPalette(bytes, header_size, header_size == 12 ? 0 : Little32(bytes, kFileHeader + 32), header));
  } else {
    header.image.mode = header.layout.alpha ? Mode::kRgba : Mode::kRgb;
  }
  header.row_bytes = (static_cast<std::size_t>(header.image.width) * bits + 31) / 32 * 4;
  return header;
}

void UnpackIndexed(Bytes row, const BmpHeader& header, std::uint8_t* out) {
  const int per_byte = 8 / header.bits;
  const int mask = (1 << header.bits) - 1;
  for (int x = 0; x < header.image.width; ++x) {
    const int shift = 8 - header.bits * (x % per_byte + 1);
    out[x] = static_cast<std::uint8_t>(ByteAt(row, x / per_byte) >> shift & mask);
  }
}

void Unpack16(Bytes row, const BmpHeader& header, std::uint8_t* out) {
  const int green = header.layout.green_bits;
  const int green_max = (1 << green) - 1;
  for (int x = 0; x < header.image.width; ++x) {
    const int pixel = static_cast<int>(Little16(row, static_cast<std::size_t>(x) * 2));
    *out++ = static_cast<std::uint8_t>((pixel >> (5 + green) & 31) * 255 / 31);
    *out++ = static_cast<std::uint8_t>((pixel >> 5 & green_max) * 255 / green_max);
    *out++ = static_cast<std::uint8_t>((pixel & 31) * 255 / 31);
  }
}

void UnpackBytes(Bytes row, const BmpHeader& header, std::uint8_t* out) {
  const int channels = header.layout.alpha ? 4 : 3;
  for (int x = 0; x < header.image.width; ++x) {
    for (int c = 0; c < channels; ++c) {
      *out++ = ByteAt(row, static_cast<std::size_t>(x) * header.layout.bytes + header.layout.offset[c]);
    }
  }
}

absl::Status TakePalette(Bytes bytes, const BmpHeader& header, Image& image) {
  const auto wrong = std::find_if(image.pixels.begin(), image.pixels.end(),
                                  [&](std::uint8_t index) { return index >= header.colours; });
  if (wrong != image.pixels.end()) {
    return Refuse(
        fmt::format("the BMP is damaged: a pixel has palette index {} of {}", *wrong, header.colours));
  }
  if (image.mode == Mode::kBilevel) {
    for (std::uint8_t& pixel : image.pixels) pixel = pixel == 0 ? 0 : 255;
  }
  if (image.mode != Mode::kPalette) return absl::OkStatus();
  image.palette.assign(256 * 3, 0);
  for (int i = 0; i < header.colours; ++i) {
    for (int c = 0; c < 3; ++c) {
      image.palette[i * 3 + c] = ByteAt(bytes, header.palette_offset + i * header.palette_step + 2 - c);
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<ImageHeader> ReadBmpHeader(Bytes bytes) {
  FILO_ASSIGN_OR_RETURN(const BmpHeader header, ReadHeader(bytes));
  return header.image;
}

absl::StatusOr<Image> DecodeBmp(Bytes bytes, const ImageHeader& /*header*/) {
  FILO_ASSIGN_OR_RETURN(const BmpHeader header, ReadHeader(bytes));
  if (header.data_offset > bytes.size() ||
      bytes.size() - header.data_offset < header.row_bytes * static_cast<std::size_t>(header.image.height)) {
    return CutShort();
  }
  Image image = Allocate(header.image);
  const std::size_t out_bytes = image.pixels.size() / image.height;
  for (int y = 0; y < image.height; ++y) {
    const int stored = header.top_down ? y : image.height - 1 - y;
    const Bytes row = bytes.subspan(header.data_offset + stored * header.row_bytes, header.row_bytes);
    std::uint8_t* out = image.pixels.data() + y * out_bytes;
    if (header.bits <= 8) {
      UnpackIndexed(row, header, out);
    } else if (header.bits == 16) {
      Unpack16(row, header, out);
    } else {
      UnpackBytes(row, header, out);
    }
  }
  if (header.bits <= 8) FILO_RETURN_IF_ERROR(TakePalette(bytes, header, image));
  return image;
}

}  // namespace filo::image
