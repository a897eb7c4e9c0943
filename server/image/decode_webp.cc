// WebP by libwebp, lossy and lossless. The RIFF frame is checked first: libwebp itself is content with less.
#include <webp/decode.h>

#include <string_view>

#include "fmt/format.h"
#include "server/base/status.h"
#include "server/image/codec.h"
#include "server/image/exif.h"

namespace filo::image {
namespace {

constexpr std::size_t kRiffHeader = 12;

struct WebpStructure {
  std::size_t size = 0;  // of the RIFF file; what follows is not part of it
  int orientation = 1;
};

absl::StatusOr<WebpStructure> Walk(Bytes bytes) {
  WebpStructure result;
  const std::size_t riff = Little32(bytes, 4);
  if (riff > bytes.size() - 8) return Refuse("the WebP is cut short; not all of its pixels are there");
  if (riff < 4 + 8) return Refuse("the WebP is damaged: it holds no image");
  result.size = riff + 8;
  for (std::size_t at = kRiffHeader; at < result.size;) {
    if (result.size - at < 8) return Refuse("the WebP is damaged: bytes behind its last chunk");
    const std::size_t length = Little32(bytes, at + 4);
    if (length > result.size - at - 8) return Refuse("the WebP is damaged: a chunk ends outside the file");
    if (Holds(bytes, at, "ANIM") || Holds(bytes, at, "ANMF")) {
      return Refuse("animated WebP is not accepted; send one image");
    }
    if (Holds(bytes, at, "EXIF")) {
      Bytes exif = bytes.subspan(at + 8, length);
      if (Holds(exif, 0, std::string_view("Exif\0\0", 6))) exif = exif.subspan(6);
      result.orientation = ExifOrientation(exif);
    }
    at += 8 + length + (length & 1);
  }
  return result;
}

absl::StatusOr<WebPBitstreamFeatures> Features(Bytes bytes) {
  WebPBitstreamFeatures features;
  if (WebPGetFeatures(reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size(), &features) !=
      VP8_STATUS_OK) {
    return Refuse("the WebP is damaged: its header cannot be read");
  }
  if (features.has_animation != 0) return Refuse("animated WebP is not accepted; send one image");
  return features;
}

}  // namespace

absl::StatusOr<ImageHeader> ReadWebpHeader(Bytes bytes) {
  FILO_ASSIGN_OR_RETURN(const WebpStructure structure, Walk(bytes));
  FILO_ASSIGN_OR_RETURN(const WebPBitstreamFeatures features, Features(bytes.first(structure.size)));
  ImageHeader header;
  header.format = Format::kWebp;
  header.height = features.height;
  header.width = features.width;
  header.mode = features.has_alpha != 0 ? Mode::kRgba : Mode::kRgb;
  header.orientation = structure.orientation;
  return header;
}

absl::StatusOr<Image> DecodeWebp(Bytes bytes, const ImageHeader& header) {
  FILO_ASSIGN_OR_RETURN(const WebpStructure structure, Walk(bytes));
  Image image = Allocate(header);
  const auto* data = reinterpret_cast<const std::uint8_t*>(bytes.data());
  const std::size_t size = image.pixels.size();
  const int stride = header.width * (header.mode == Mode::kRgba ? 4 : 3);
  const std::uint8_t* decoded =
      header.mode == Mode::kRgba ? WebPDecodeRGBAInto(data, structure.size, image.pixels.data(), size, stride)
                                 : WebPDecodeRGBInto(data, structure.size, image.pixels.data(), size, stride);
  if (decoded == nullptr) return Refuse("the WebP is damaged; not all of its pixels can be told");
  if (structure.size != bytes.size()) {
    image.warnings.push_back(
        fmt::format("{} bytes after the end of the WebP were ignored", bytes.size() - structure.size));
  }
  return image;
}

}  // namespace filo::image
