#include "server/image/decode.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <string>
#include <utility>

#include "fmt/format.h"
#include "server/base/status.h"
#include "server/image/codec.h"
#include "server/image/resize.h"

namespace filo::image {
namespace {

constexpr std::string_view kAccepted = "send JPEG, PNG, BMP, TIFF or WebP";

// Formats that people do send, so that the refusal can name them.
std::string_view NameOfForeignFormat(Bytes bytes) {
  if (Holds(bytes, 0, "GIF8")) return "GIF";
  if (Holds(bytes, 0, std::string_view("\0\0\0\x0cjP  ", 8))) return "JPEG 2000";
  if (Holds(bytes, 0, "\xff\x0a") || Holds(bytes, 0, std::string_view("\0\0\0\x0cJXL ", 8))) return "JPEG XL";
  if (Holds(bytes, 4, "ftypavif")) return "AVIF";
  if (Holds(bytes, 4, "ftyphei") || Holds(bytes, 4, "ftypmif1")) return "HEIF";
  if (Holds(bytes, 0, "%PDF")) return "PDF";
  if (Holds(bytes, 0, "8BPS")) return "Photoshop";
  if (bytes.size() > 2 && ByteAt(bytes, 0) == 'P' && ByteAt(bytes, 1) >= '1' && ByteAt(bytes, 1) <= '7')
    return "PNM";
  return "";
}

absl::StatusOr<Format> Recognise(Bytes bytes) {
  if (Holds(bytes, 0, "\xff\xd8\xff")) return Format::kJpeg;
  if (Holds(bytes, 0, "\x89PNG\r\n\x1a\n")) return Format::kPng;
  if (Holds(bytes, 0, "BM")) return Format::kBmp;
  if (Holds(bytes, 0, std::string_view("II*\0", 4)) || Holds(bytes, 0, std::string_view("MM\0*", 4)) ||
      Holds(bytes, 0, std::string_view("II+\0", 4)) || Holds(bytes, 0, std::string_view("MM\0+", 4))) {
    return Format::kTiff;
  }
  if (Holds(bytes, 0, "RIFF") && Holds(bytes, 8, "WEBP")) return Format::kWebp;
  const std::string_view foreign = NameOfForeignFormat(bytes);
  if (!foreign.empty()) return Refuse(fmt::format("{} is not accepted; {}", foreign, kAccepted));
  return Refuse(fmt::format("the {} bytes are no image of a known format; {}", bytes.size(), kAccepted));
}

absl::StatusOr<ImageHeader> ReadHeaderOf(Format format, Bytes bytes) {
  switch (format) {
    case Format::kJpeg:
      return ReadJpegHeader(bytes);
    case Format::kPng:
      return ReadPngHeader(bytes);
    case Format::kBmp:
      return ReadBmpHeader(bytes);
    case Format::kTiff:
      return ReadTiffHeader(bytes);
    case Format::kWebp:
      return ReadWebpHeader(bytes);
  }
  return absl::InternalError("unknown image format");
}

absl::StatusOr<Image> DecodePixels(Bytes bytes, const ImageHeader& header) {
  switch (header.format) {
    case Format::kJpeg:
      return DecodeJpeg(bytes, header);
    case Format::kPng:
      return DecodePng(bytes, header);
    case Format::kBmp:
      return DecodeBmp(bytes, header);
    case Format::kTiff:
      return DecodeTiff(bytes, header);
    case Format::kWebp:
      return DecodeWebp(bytes, header);
  }
  return absl::InternalError("unknown image format");
}

absl::Status CheckLimits(const ImageHeader& header, const DecodeLimits& limits) {
  const std::int64_t pixels = static_cast<std::int64_t>(header.height) * header.width;
  const std::string size =
      fmt::format("{} of {} x {} pixels", FormatName(header.format), header.width, header.height);
  if (std::min(header.height, header.width) < std::max(limits.min_side, 1)) {
    return Refuse(fmt::format("{}; both sides must be at least {}", size, std::max(limits.min_side, 1)));
  }
  if (std::max(header.height, header.width) > limits.max_side) {
    return Refuse(fmt::format("{}; no side may exceed {}", size, limits.max_side));
  }
  if (pixels > limits.max_pixels) {
    return Refuse(fmt::format("{}, {} in all; at most {} are accepted", size, pixels, limits.max_pixels));
  }
  return absl::OkStatus();
}

// Alpha is dropped later, as Pillow does; say so, and refuse what nobody meant to be looked at.
absl::Status CheckAlpha(Image& image) {
  bool opaque = true;
  bool empty = true;
  const auto look = [&](std::uint8_t alpha) {
    opaque = opaque && alpha == 255;
    empty = empty && alpha == 0;
  };
  if (image.mode == Mode::kPaletteAlpha) {
    for (std::uint8_t index : image.pixels) look(image.palette_alpha[index]);
  } else if (image.mode == Mode::kGrayAlpha || image.mode == Mode::kRgba) {
    const std::size_t step = BytesPerPixel(image.mode);
    for (std::size_t i = step - 1; i < image.pixels.size(); i += step) look(image.pixels[i]);
  } else {
    return absl::OkStatus();
  }
  if (empty) return Refuse("every pixel is fully transparent; send the photograph without an alpha channel");
  if (!opaque) image.warnings.push_back("the image has transparent pixels; transparency is ignored");
  return absl::OkStatus();
}

absl::StatusOr<Image> Scale(Image image, int declared_by_sender, int declared_by_file) {
  const int bits = declared_by_sender != 0 ? declared_by_sender
                   : declared_by_file != 0 ? declared_by_file
                                           : 16;
  std::uint16_t brightest = 0;
  for (std::size_t i = 0; i < image.pixels.size(); i += 2) {
    std::uint16_t value;
    std::memcpy(&value, &image.pixels[i], sizeof(value));
    brightest = std::max(brightest, value);
  }
  FILO_ASSIGN_OR_RETURN(Image scaled, ScaleGray16(std::move(image), bits));
  if (declared_by_sender == 0 && declared_by_file == 0 && brightest < 1 << 12) {
    scaled.warnings.push_back(
        fmt::format("16-bit gray without declared significant bits was read as 16 bits, but its brightest "
                    "value is {}; state "
                    "significant_bits",
                    brightest));
  }
  return scaled;
}

}  // namespace

absl::Status Refuse(std::string_view description) {
  return WithField(absl::InvalidArgumentError(fmt::format("image: {}", description)), "image", description);
}

bool Holds(Bytes bytes, std::size_t at, std::string_view magic) {
  return bytes.size() >= at + magic.size() && std::memcmp(bytes.data() + at, magic.data(), magic.size()) == 0;
}

Image Allocate(const ImageHeader& header) {
  Image image;
  image.height = header.height;
  image.width = header.width;
  image.mode = header.mode;
  image.orientation = header.orientation;
  image.pixels.resize(static_cast<std::size_t>(header.height) * header.width * BytesPerPixel(header.mode));
  return image;
}

const char* FormatName(Format format) {
  constexpr std::array<const char*, 5> kNames = {"JPEG", "PNG", "BMP", "TIFF", "WebP"};
  return kNames[static_cast<std::size_t>(format)];
}

absl::StatusOr<ImageHeader> ReadHeader(std::span<const std::byte> bytes, const DecodeLimits& limits) {
  if (bytes.empty()) return Refuse(fmt::format("it is empty; {}", kAccepted));
  if (bytes.size() > limits.max_bytes) {
    return Refuse(fmt::format("it has {} bytes; at most {} are accepted", bytes.size(), limits.max_bytes));
  }
  FILO_ASSIGN_OR_RETURN(const Format format, Recognise(bytes));
  FILO_ASSIGN_OR_RETURN(const ImageHeader header, ReadHeaderOf(format, bytes));
  FILO_RETURN_IF_ERROR(CheckLimits(header, limits));
  return header;
}

absl::StatusOr<Image> Decode(std::span<const std::byte> bytes, const DecodeLimits& limits,
                             const DecodeOptions& options) {
  if (options.significant_bits < 0 || options.significant_bits > 16) {
    return FieldError("significant_bits", std::to_string(options.significant_bits),
                      "be between 1 and 16, or 0 for what the file says");
  }
  FILO_ASSIGN_OR_RETURN(const ImageHeader header, ReadHeader(bytes, limits));
  if (options.significant_bits != 0 && header.mode != Mode::kGray16) {
    return FieldError(
        "significant_bits", std::to_string(options.significant_bits),
        fmt::format("be 0 for a {} of mode {}", FormatName(header.format), ModeName(header.mode)));
  }
  FILO_ASSIGN_OR_RETURN(Image image, DecodePixels(bytes, header));
  FILO_RETURN_IF_ERROR(CheckAlpha(image));
  if (image.orientation != 1) {
    image.warnings.push_back(fmt::format(
        "the file states orientation {}; it is not applied: pixels and coordinates are in the stored frame",
        image.orientation));
  }
  if (image.mode == Mode::kGray16 && options.gray16 == Gray16::kScale) {
    return Scale(std::move(image), options.significant_bits, header.significant_bits);
  }
  return image;
}

absl::StatusOr<Image> ScaleGray16(Image image, int significant_bits) {
  if (image.mode != Mode::kGray16) return image;
  if (significant_bits < 1 || significant_bits > 16) {
    return FieldError("significant_bits", std::to_string(significant_bits), "be between 1 and 16");
  }
  const std::uint32_t top = (1u << significant_bits) - 1;
  std::vector<std::uint8_t> gray(image.pixels.size() / 2);
  for (std::size_t i = 0; i < gray.size(); ++i) {
    std::uint16_t value;
    std::memcpy(&value, &image.pixels[i * 2], sizeof(value));
    if (value >> significant_bits != 0) {
      return FieldError("significant_bits", std::to_string(significant_bits),
                        fmt::format("cover every pixel; the one at row {}, column {} has value {}",
                                    i / image.width, i % image.width, value));
    }
    gray[i] = static_cast<std::uint8_t>((value * 255u + top / 2) / top);
  }
  image.mode = Mode::kGray;
  image.pixels = std::move(gray);
  return image;
}

}  // namespace filo::image
