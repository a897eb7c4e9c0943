// PNG by libpng. Every chunk's checksum is verified before libpng starts, ancillary ones included, so that
// any flipped or missing byte between the signature and IEND is found.
#include <png.h>
#include <zlib.h>

#include <bit>
#include <csetjmp>
#include <cstdio>
#include <cstring>
#include <optional>
#include <string>

#include "fmt/format.h"
#include "server/base/status.h"
#include "server/image/codec.h"
#include "server/image/exif.h"

namespace filo::image {
namespace {

constexpr std::size_t kSignature = 8;

struct PngHeader {
  ImageHeader image;
  int bit_depth = 0;
  std::size_t trailing_bytes = 0;
};

// Pillow's mode for a colour type (PNG 11.2.2).
std::optional<Mode> ModeOf(int colour_type, int bit_depth, bool transparency) {
  switch (colour_type) {
    case 0:
      return bit_depth == 1 ? Mode::kBilevel : bit_depth == 16 ? Mode::kGray16 : Mode::kGray;
    case 2:
      return Mode::kRgb;
    case 3:
      return transparency ? Mode::kPaletteAlpha : Mode::kPalette;
    case 4:
      return Mode::kGrayAlpha;
    case 6:
      return Mode::kRgba;
    default:
      return std::nullopt;
  }
}

absl::StatusOr<PngHeader> Walk(Bytes bytes) {
  PngHeader header;
  header.image.format = Format::kPng;
  int colour_type = -1;
  bool transparency = false;
  for (std::size_t at = kSignature;;) {
    if (bytes.size() - at < 12) return Refuse("the PNG is cut short; not all of its pixels are there");
    const std::size_t length = Big32(bytes, at);
    if (length > bytes.size() - at - 12 || length > 0x7fffffff) {
      return Refuse("the PNG is cut short or damaged: a chunk ends outside the file");
    }
    const Bytes name = bytes.subspan(at + 4, 4);
    const Bytes body = bytes.subspan(at + 8, length);
    const auto crc = crc32(crc32(0, nullptr, 0), reinterpret_cast<const Bytef*>(name.data()),
                           static_cast<uInt>(length + 4));
    const std::string label(reinterpret_cast<const char*>(name.data()), 4);
    if (crc != Big32(bytes, at + 8 + length)) {
      return Refuse(fmt::format("the PNG is damaged: wrong checksum of the chunk at byte {}", at));
    }
    if ((at == kSignature) != (label == "IHDR"))
      return Refuse("the PNG is damaged: IHDR is not its first chunk");
    if (label == "IHDR") {
      if (length != 13) return Refuse("the PNG is damaged: IHDR has the wrong length");
      if (Big32(body, 0) - 1 > 0x7ffffffe || Big32(body, 4) - 1 > 0x7ffffffe) {
        return Refuse("the PNG is damaged: a side is 0 or beyond 2^31 - 1");
      }
      header.image.width = static_cast<int>(Big32(body, 0));
      header.image.height = static_cast<int>(Big32(body, 4));
      header.bit_depth = ByteAt(body, 8);
      colour_type = ByteAt(body, 9);
    } else if (label == "tRNS") {
      transparency = true;
    } else if (label == "eXIf") {
      header.image.orientation = ExifOrientation(body);
    } else if (label == "acTL" && length == 8 && Big32(body, 0) > 1) {
      return Refuse(fmt::format("animated PNG ({} frames) is not accepted; send one image", Big32(body, 0)));
    }
    at += 12 + length;
    if (label == "IEND") {
      header.trailing_bytes = bytes.size() - at;
      break;
    }
  }
  const std::optional<Mode> mode = ModeOf(colour_type, header.bit_depth, transparency);
  if (!mode) return Refuse(fmt::format("the PNG is damaged: colour type {} does not exist", colour_type));
  header.image.mode = *mode;
  // No significant bits from sBIT: such samples are scaled to the full 16 bits (PNG 11.3.2.4), not
  // right-aligned.
  return header;
}

// libpng's way out of an error is a longjmp, so everything between here and setjmp is plain data.
struct State {
  std::jmp_buf escape;
  const unsigned char* next;
  std::size_t left;
  bool reading_pixels;
  char message[200];
};

[[noreturn]] void OnError(png_structp png, png_const_charp message) {
  auto* state = static_cast<State*>(png_get_error_ptr(png));
  std::snprintf(state->message, sizeof(state->message), "%s", message);
  std::longjmp(state->escape, 1);
}

// A warning about the header's chunks is about metadata; one about the pixels means that some were made up.
void OnWarning(png_structp png, png_const_charp message) {
  if (static_cast<State*>(png_get_error_ptr(png))->reading_pixels) OnError(png, message);
}

void Read(png_structp png, png_bytep out, std::size_t size) {
  auto* state = static_cast<State*>(png_get_io_ptr(png));
  if (size > state->left) png_error(png, "the data end early");
  std::memcpy(out, state->next, size);
  state->next += size;
  state->left -= size;
}

// Palettes as the file has them; plain data, filled before the pixels are read.
struct Palette {
  int colours;
  unsigned char rgb[256 * 3];
  unsigned char alpha[256];
};

void ReadPalette(png_structp png, png_infop info, Palette* palette) {
  png_colorp colours = nullptr;
  int count = 0;
  if (png_get_PLTE(png, info, &colours, &count) == 0) png_error(png, "no palette");
  palette->colours = count;
  for (int i = 0; i < count && i < 256; ++i) {
    palette->rgb[i * 3] = colours[i].red;
    palette->rgb[i * 3 + 1] = colours[i].green;
    palette->rgb[i * 3 + 2] = colours[i].blue;
  }
  png_bytep alpha = nullptr;
  int alphas = 0;
  std::memset(palette->alpha, 255, sizeof(palette->alpha));
  if (png_get_tRNS(png, info, &alpha, &alphas, nullptr) != 0 && alpha != nullptr) {
    std::memcpy(palette->alpha, alpha, static_cast<std::size_t>(alphas < 256 ? alphas : 256));
  }
}

// `row_pointers` has header->height entries. False with state->message set on any fault.
bool Run(png_structp png, png_infop info, State* state, const ImageHeader* header, std::size_t row_bytes,
         png_bytepp row_pointers, Palette* palette) {
  if (setjmp(state->escape) != 0) return false;
  png_set_read_fn(png, state, Read);
  png_set_user_limits(png, 0x7fffffff, 0x7fffffff);  // our own limits were checked
  png_set_crc_action(png, PNG_CRC_ERROR_QUIT, PNG_CRC_ERROR_QUIT);
  png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_NEVER, nullptr,
                              -1);  // texts, profiles, gamma: not even unpacked
  png_read_info(png, info);
  const int colour_type = png_get_color_type(png, info);
  const int bit_depth = png_get_bit_depth(png, info);
  if (bit_depth == 16 && header->mode != Mode::kGray16) png_set_strip_16(png);
  if (header->mode == Mode::kGray16 && std::endian::native == std::endian::little) png_set_swap(png);
  if (colour_type == PNG_COLOR_TYPE_GRAY && bit_depth < 8) png_set_expand_gray_1_2_4_to_8(png);
  if (colour_type == PNG_COLOR_TYPE_PALETTE) {
    png_set_packing(png);
    ReadPalette(png, info, palette);
  }
  png_set_interlace_handling(png);
  png_read_update_info(png, info);
  if (png_get_rowbytes(png, info) != row_bytes) png_error(png, "the header is read in two ways");
  state->reading_pixels = true;
  png_read_image(png, row_pointers);
  png_read_end(png, nullptr);
  return true;
}

absl::Status TakePalette(const Palette& palette, Image& image) {
  for (std::size_t i = 0; i < image.pixels.size(); ++i) {
    if (image.pixels[i] >= palette.colours) {
      return Refuse(fmt::format("the PNG is damaged: pixel at row {}, column {} has palette index {} of {}",
                                i / image.width, i % image.width, image.pixels[i], palette.colours));
    }
  }
  image.palette.assign(palette.rgb, palette.rgb + sizeof(palette.rgb));
  if (image.mode == Mode::kPaletteAlpha) {
    image.palette_alpha.assign(palette.alpha, palette.alpha + sizeof(palette.alpha));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<ImageHeader> ReadPngHeader(Bytes bytes) {
  FILO_ASSIGN_OR_RETURN(const PngHeader header, Walk(bytes));
  return header.image;
}

absl::StatusOr<Image> DecodePng(Bytes bytes, const ImageHeader& header) {
  FILO_ASSIGN_OR_RETURN(const PngHeader details, Walk(bytes));
  Image image = Allocate(header);
  const std::size_t row_bytes = image.pixels.size() / image.height;
  std::vector<png_bytep> rows(image.height);
  for (int y = 0; y < image.height; ++y) rows[y] = image.pixels.data() + y * row_bytes;

  State state{};
  Palette palette{};
  state.next = reinterpret_cast<const unsigned char*>(bytes.data());
  state.left = bytes.size();
  png_structp png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &state, OnError, OnWarning);
  png_infop info = png == nullptr ? nullptr : png_create_info_struct(png);
  if (info == nullptr) {
    png_destroy_read_struct(&png, nullptr, nullptr);
    return absl::ResourceExhaustedError("no memory to read a PNG");
  }
  const bool whole = Run(png, info, &state, &header, row_bytes, rows.data(), &palette);
  png_destroy_read_struct(&png, &info, nullptr);
  if (!whole) return Refuse(fmt::format("the PNG is damaged ({})", std::string(state.message)));
  if (image.mode == Mode::kPalette || image.mode == Mode::kPaletteAlpha) {
    FILO_RETURN_IF_ERROR(TakePalette(palette, image));
  }
  if (details.bit_depth == 16 && image.mode != Mode::kGray16) {
    image.warnings.push_back("16-bit colour was reduced to its upper 8 bits");
  }
  if (details.trailing_bytes != 0) {
    image.warnings.push_back(
        fmt::format("{} bytes after the end of the PNG were ignored", details.trailing_bytes));
  }
  return image;
}

}  // namespace filo::image
