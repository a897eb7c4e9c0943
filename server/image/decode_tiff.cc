// TIFF by libtiff, from memory, one page: gray of 1, 8 and 16 bits, RGB(A) of 8 and 16, palettes, CMYK;
// strips and tiles; without compression or with LZW, Deflate, PackBits.
#include <tiffio.h>
#include <zlib.h>

#include <algorithm>
#include <bit>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "fmt/format.h"
#include "server/base/status.h"
#include "server/image/codec.h"

namespace filo::image {
namespace {

constexpr tmsize_t kMaxAllocation = tmsize_t{512} << 20;  // of libtiff, in one piece
constexpr std::uint32_t kMaxTileSide = 8192;

// A TIFF open for reading from memory. Errors that libtiff reports are kept, whatever its functions return.
class Reader {
 public:
  static absl::StatusOr<std::unique_ptr<Reader>> Open(Bytes bytes) {
    auto reader = std::unique_ptr<Reader>(new Reader(bytes));
    TIFFOpenOptions* options = TIFFOpenOptionsAlloc();
    if (options == nullptr) return absl::ResourceExhaustedError("no memory to read a TIFF");
    TIFFOpenOptionsSetMaxSingleMemAlloc(options, kMaxAllocation);
    TIFFOpenOptionsSetErrorHandlerExtR(options, OnError, reader.get());
    TIFFOpenOptionsSetWarningHandlerExtR(options, OnWarning, reader.get());
    // m: no memory mapping, c: strips as the file has them.
    reader->tiff_ = TIFFClientOpenExt("image", "rmc", reader.get(), ReadAt, WriteAt, Seek, Close, SizeOf,
                                      nullptr, nullptr, options);
    TIFFOpenOptionsFree(options);
    if (reader->tiff_ == nullptr || !reader->error_.empty()) return reader->Damaged();
    return reader;
  }

  ~Reader() {
    if (tiff_ != nullptr) TIFFClose(tiff_);
  }
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;

  TIFF* get() const { return tiff_; }
  bool failed() const { return !error_.empty(); }
  absl::Status Damaged() const {
    return Refuse(
        fmt::format("the TIFF is damaged or cut short ({})", error_.empty() ? "unreadable" : error_));
  }
  std::uint32_t Short(std::uint32_t tag, std::uint16_t fallback) const {
    std::uint16_t value = fallback;
    return TIFFGetFieldDefaulted(tiff_, tag, &value) != 0 ? value : fallback;
  }
  std::uint32_t Long(std::uint32_t tag) const {
    std::uint32_t value = 0;
    return TIFFGetField(tiff_, tag, &value) != 0 ? value : 0;
  }

 private:
  explicit Reader(Bytes bytes) : bytes_(bytes) {}

  static int OnError(TIFF*, void* self, const char*, const char* format, std::va_list arguments) {
    char text[300];
    std::vsnprintf(text, sizeof(text), format, arguments);
    auto* reader = static_cast<Reader*>(self);
    if (reader->error_.empty()) reader->error_ = text;
    return 1;
  }
  // Unknown tags and the like: metadata.
  static int OnWarning(TIFF*, void*, const char*, const char*, std::va_list) { return 1; }

  static tmsize_t ReadAt(thandle_t self, void* out, tmsize_t size) {
    auto* reader = static_cast<Reader*>(self);
    if (size <= 0 || reader->position_ >= reader->bytes_.size()) return 0;
    const std::size_t count = std::min<std::size_t>(size, reader->bytes_.size() - reader->position_);
    std::memcpy(out, reader->bytes_.data() + reader->position_, count);
    reader->position_ += count;
    return static_cast<tmsize_t>(count);
  }
  static tmsize_t WriteAt(thandle_t, void*, tmsize_t) { return 0; }
  static toff_t Seek(thandle_t self, toff_t offset, int whence) {
    auto* reader = static_cast<Reader*>(self);
    const toff_t base = whence == SEEK_CUR   ? reader->position_
                        : whence == SEEK_END ? reader->bytes_.size()
                                             : 0;
    reader->position_ = base + offset;
    return reader->position_;
  }
  static int Close(thandle_t) { return 0; }
  static toff_t SizeOf(thandle_t self) { return static_cast<Reader*>(self)->bytes_.size(); }

  const Bytes bytes_;
  toff_t position_ = 0;
  TIFF* tiff_ = nullptr;
  std::string error_;
};

struct TiffHeader {
  ImageHeader image;
  std::uint32_t bits = 1;     // of a sample
  std::uint32_t samples = 1;  // of a pixel, extra ones included
  bool planar = false;        // one plane per sample
  bool white_is_zero = false;
  bool premultiplied = false;
  std::uint32_t compression = COMPRESSION_NONE;
};

absl::Status NotAccepted(const TiffHeader& header, std::uint32_t photometric) {
  return Refuse(
      fmt::format("TIFF with photometric interpretation {}, {} samples of {} bits is not accepted; use gray "
                  "(1, 8, 16 bits), RGB (8, 16), palette or CMYK",
                  photometric, header.samples, header.bits));
}

// The mode, as Pillow chooses it.
absl::Status ChooseMode(const Reader& reader, TiffHeader& header) {
  const std::uint32_t photometric = reader.Short(TIFFTAG_PHOTOMETRIC, 0xffff);
  std::uint16_t extra = 0;
  std::uint16_t* kinds = nullptr;
  TIFFGetFieldDefaulted(reader.get(), TIFFTAG_EXTRASAMPLES, &extra, &kinds);
  if (extra > 1) return NotAccepted(header, photometric);
  const bool alpha = extra == 1 && kinds != nullptr && kinds[0] != EXTRASAMPLE_UNSPECIFIED;
  header.premultiplied = alpha && kinds[0] == EXTRASAMPLE_ASSOCALPHA;
  const std::uint32_t colours = header.samples - std::min<std::uint32_t>(extra, header.samples);
  const std::uint32_t bits = header.bits;
  switch (photometric) {
    case PHOTOMETRIC_MINISWHITE:
    case PHOTOMETRIC_MINISBLACK:
      header.white_is_zero = photometric == PHOTOMETRIC_MINISWHITE;
      if (colours != 1) break;
      if (bits == 1 && extra == 0)
        header.image.mode = Mode::kBilevel;
      else if (bits == 8)
        header.image.mode = alpha ? Mode::kGrayAlpha : Mode::kGray;
      else if (bits == 16 && extra == 0)
        header.image.mode = Mode::kGray16;
      else
        break;
      return absl::OkStatus();
    case PHOTOMETRIC_RGB:
      if (colours != 3 || (bits != 8 && bits != 16)) break;
      header.image.mode = alpha ? Mode::kRgba : Mode::kRgb;
      return absl::OkStatus();
    case PHOTOMETRIC_PALETTE:
      if (colours != 1 || extra != 0 || (bits != 4 && bits != 8)) break;
      header.image.mode = Mode::kPalette;
      return absl::OkStatus();
    case PHOTOMETRIC_SEPARATED:
      if (colours != 4 || extra != 0 || bits != 8) break;
      header.image.mode = Mode::kCmyk;
      return absl::OkStatus();
    default:
      break;
  }
  return NotAccepted(header, photometric);
}

absl::Status CheckVariant(const Reader& reader, TiffHeader& header) {
  TIFF* tiff = reader.get();
  const std::uint32_t format = reader.Short(TIFFTAG_SAMPLEFORMAT, SAMPLEFORMAT_UINT);
  if (format != SAMPLEFORMAT_UINT && format != SAMPLEFORMAT_VOID) {
    const char* name = format == SAMPLEFORMAT_IEEEFP ? "floating-point"
                       : format == SAMPLEFORMAT_INT  ? "signed"
                                                     : "complex";
    return Refuse(fmt::format("TIFF with {} samples is not accepted; send unsigned 8 or 16 bits", name));
  }
  header.compression = reader.Short(TIFFTAG_COMPRESSION, COMPRESSION_NONE);
  switch (header.compression) {
    case COMPRESSION_NONE:
    case COMPRESSION_LZW:
    case COMPRESSION_PACKBITS:
    case COMPRESSION_ADOBE_DEFLATE:
    case COMPRESSION_DEFLATE:
      break;
    default:
      return Refuse(
          fmt::format("TIFF with compression {} is not accepted; use none, LZW, Deflate or PackBits",
                      header.compression));
  }
  if (reader.Short(TIFFTAG_FILLORDER, FILLORDER_MSB2LSB) != FILLORDER_MSB2LSB) {
    return Refuse("TIFF with reversed bits (FillOrder 2) is not accepted");
  }
  if (TIFFIsTiled(tiff) != 0) {
    const std::uint32_t tile_width = reader.Long(TIFFTAG_TILEWIDTH);
    const std::uint32_t tile_height = reader.Long(TIFFTAG_TILELENGTH);
    if (tile_width == 0 || tile_height == 0 || tile_width % 16 != 0 || tile_height % 16 != 0 ||
        std::max(tile_width, tile_height) > kMaxTileSide) {
      return Refuse(
          fmt::format("TIFF with tiles of {} x {} is not accepted; both must be a multiple of 16, at most {}",
                      tile_width, tile_height, kMaxTileSide));
    }
  }
  if (TIFFLastDirectory(tiff) == 0) return Refuse("TIFF with several pages is not accepted; send one image");
  return absl::OkStatus();
}

absl::StatusOr<TiffHeader> ReadHeader(const Reader& reader) {
  TiffHeader header;
  header.image.format = Format::kTiff;
  const std::uint32_t width = reader.Long(TIFFTAG_IMAGEWIDTH);
  const std::uint32_t height = reader.Long(TIFFTAG_IMAGELENGTH);
  if (width - 1 > 0x7ffffffe || height - 1 > 0x7ffffffe) {
    return Refuse(fmt::format("the TIFF is damaged: a size of {} x {}", width, height));
  }
  header.image.width = static_cast<int>(width);
  header.image.height = static_cast<int>(height);
  header.bits = reader.Short(TIFFTAG_BITSPERSAMPLE, 1);
  header.samples = reader.Short(TIFFTAG_SAMPLESPERPIXEL, 1);
  header.planar = header.samples > 1 && reader.Short(TIFFTAG_PLANARCONFIG, 1) == PLANARCONFIG_SEPARATE;
  FILO_RETURN_IF_ERROR(CheckVariant(reader, header));
  FILO_RETURN_IF_ERROR(ChooseMode(reader, header));
  const std::uint32_t orientation = reader.Short(TIFFTAG_ORIENTATION, 1);
  header.image.orientation = orientation >= 1 && orientation <= 8 ? static_cast<int>(orientation) : 1;
  if (header.image.mode == Mode::kGray16) {
    const auto brightest = static_cast<std::uint16_t>(reader.Short(TIFFTAG_MAXSAMPLEVALUE, 0xffff));
    header.image.significant_bits = brightest != 0 && brightest != 0xffff ? std::bit_width(brightest) : 0;
  }
  if (reader.failed()) return reader.Damaged();
  return header;
}

// A strip or tile as libtiff unpacks it: a rectangle of the image, rows on byte borders.
struct Block {
  std::uint32_t index = 0;
  int y = 0, x = 0;
  int rows = 0, columns = 0;   // those inside the image
  std::size_t row_bytes = 0;   // of the whole block, past the image's edge too
  std::size_t bytes = 0;       // that libtiff must deliver
  std::size_t most_bytes = 0;  // that an encoder may have put in
  std::uint32_t plane = 0;
};

std::vector<Block> Layout(const Reader& reader, const TiffHeader& header) {
  TIFF* tiff = reader.get();
  const bool tiled = TIFFIsTiled(tiff) != 0;
  const int height = header.image.height;
  const int width = header.image.width;
  std::uint32_t block_height = tiled ? reader.Long(TIFFTAG_TILELENGTH) : 0;
  std::uint32_t block_width = tiled ? reader.Long(TIFFTAG_TILEWIDTH) : static_cast<std::uint32_t>(width);
  if (!tiled) TIFFGetFieldDefaulted(tiff, TIFFTAG_ROWSPERSTRIP, &block_height);
  block_height =
      std::clamp<std::uint32_t>(block_height, 1, tiled ? kMaxTileSide : static_cast<std::uint32_t>(height));
  block_width = std::max<std::uint32_t>(block_width, 1);
  const std::uint32_t samples = header.planar ? 1 : header.samples;
  const std::size_t row_bytes = (std::size_t{block_width} * samples * header.bits + 7) / 8;

  std::vector<Block> blocks;
  for (std::uint32_t plane = 0; plane < (header.planar ? header.samples : 1); ++plane) {
    for (std::int64_t y = 0; y < height; y += block_height) {
      for (std::int64_t x = 0; x < width; x += block_width) {
        Block block;
        block.index = static_cast<std::uint32_t>(blocks.size());
        block.y = static_cast<int>(y);
        block.x = static_cast<int>(x);
        block.rows = static_cast<int>(std::min<std::int64_t>(block_height, height - y));
        block.columns = static_cast<int>(std::min<std::int64_t>(block_width, width - x));
        block.row_bytes = row_bytes;
        block.most_bytes = row_bytes * block_height;
        block.bytes = tiled ? block.most_bytes : row_bytes * block.rows;
        block.plane = plane;
        blocks.push_back(block);
      }
    }
  }
  return blocks;
}

// libtiff stops once it has the bytes it wants and may never see the checksum behind them; so the stream is
// unpacked to its end here.
bool DeflateIsSound(const std::vector<std::uint8_t>& packed, const Block& block) {
  std::vector<std::uint8_t> sink(std::min<std::size_t>(block.most_bytes, 1 << 16));
  z_stream stream{};
  if (inflateInit(&stream) != Z_OK) return false;
  stream.next_in = const_cast<Bytef*>(packed.data());
  stream.avail_in = static_cast<uInt>(packed.size());
  int result = Z_OK;
  std::size_t total = 0;
  while (result == Z_OK && total <= block.most_bytes) {
    stream.next_out = sink.data();
    stream.avail_out = static_cast<uInt>(sink.size());
    result = inflate(&stream, Z_NO_FLUSH);
    total += sink.size() - stream.avail_out;
  }
  inflateEnd(&stream);
  return result == Z_STREAM_END && total >= block.bytes && total <= block.most_bytes;
}

absl::Status ReadBlock(const Reader& reader, const TiffHeader& header, const Block& block,
                       std::size_t file_bytes, std::vector<std::uint8_t>& buffer) {
  TIFF* tiff = reader.get();
  const std::uint64_t offset = TIFFGetStrileOffset(tiff, block.index);
  const std::uint64_t packed_bytes = TIFFGetStrileByteCount(tiff, block.index);
  if (offset == 0 || packed_bytes == 0 || packed_bytes > file_bytes || offset > file_bytes - packed_bytes) {
    return Refuse(
        fmt::format("the TIFF is cut short: part {} of its pixels is not in the file", block.index));
  }
  const bool tiled = TIFFIsTiled(tiff) != 0;
  if (header.compression == COMPRESSION_ADOBE_DEFLATE || header.compression == COMPRESSION_DEFLATE) {
    std::vector<std::uint8_t> packed(packed_bytes);
    const auto size = static_cast<tmsize_t>(packed_bytes);
    const tmsize_t got = tiled ? TIFFReadRawTile(tiff, block.index, packed.data(), size)
                               : TIFFReadRawStrip(tiff, block.index, packed.data(), size);
    if (got != size || reader.failed()) return reader.Damaged();
    if (!DeflateIsSound(packed, block)) {
      return Refuse(fmt::format("the TIFF is damaged: wrong checksum or length of part {}", block.index));
    }
  }
  buffer.resize(block.bytes);
  const auto wanted = static_cast<tmsize_t>(block.bytes);
  const tmsize_t got = tiled ? TIFFReadEncodedTile(tiff, block.index, buffer.data(), wanted)
                             : TIFFReadEncodedStrip(tiff, block.index, buffer.data(), wanted);
  if (got != wanted || reader.failed()) return reader.Damaged();
  return absl::OkStatus();
}

// One row of a block to its place in the image.
void PlaceRow(const std::uint8_t* in, const TiffHeader& header, const Block& block, std::uint8_t* out,
              int channels) {
  const std::uint8_t flip = header.white_is_zero ? 255 : 0;
  if (header.bits < 8) {  // one sample a pixel
    const std::uint32_t per_byte = 8 / header.bits;
    for (int x = 0; x < block.columns; ++x) {
      const std::uint32_t shift = 8 - header.bits * (x % per_byte + 1);
      const std::uint32_t value = in[x / per_byte] >> shift & ((1u << header.bits) - 1);
      out[x] = static_cast<std::uint8_t>(header.bits == 1 ? (value != 0 ? 255 : 0) ^ flip : value);
    }
    return;
  }
  const std::size_t step = header.planar ? 1 : header.samples;
  const int first = header.planar ? static_cast<int>(block.plane) : 0;
  const int last = header.planar ? first : channels - 1;
  for (int x = 0; x < block.columns; ++x) {
    for (int c = first; c <= last && c < channels; ++c) {
      const std::size_t sample = x * step + (c - first);
      std::uint8_t* pixel = out + static_cast<std::size_t>(x) * channels + c;
      if (header.bits == 8) {
        *pixel = in[sample] ^ (c == 0 && channels <= 2 ? flip : 0);
      } else {  // the upper byte; libtiff has brought samples into native order
        std::uint16_t value;
        std::memcpy(&value, in + sample * 2, sizeof(value));
        *pixel = static_cast<std::uint8_t>(value >> 8);
      }
    }
  }
}

void PlaceRow16(const std::uint8_t* in, const TiffHeader& header, const Block& block, std::uint8_t* out) {
  for (int x = 0; x < block.columns; ++x) {
    std::uint16_t value;
    std::memcpy(&value, in + static_cast<std::size_t>(x) * 2, sizeof(value));
    if (header.white_is_zero) value = static_cast<std::uint16_t>(0xffff - value);
    std::memcpy(out + static_cast<std::size_t>(x) * 2, &value, sizeof(value));
  }
}

absl::Status TakePalette(const Reader& reader, const TiffHeader& header, Image& image) {
  std::uint16_t* channels[3] = {};
  if (TIFFGetField(reader.get(), TIFFTAG_COLORMAP, &channels[0], &channels[1], &channels[2]) == 0) {
    return Refuse("the TIFF is damaged: it has no colour map");
  }
  image.palette.assign(256 * 3, 0);
  for (int i = 0; i < 1 << header.bits; ++i) {
    for (int c = 0; c < 3; ++c) image.palette[i * 3 + c] = static_cast<std::uint8_t>(channels[c][i] >> 8);
  }
  return absl::OkStatus();
}

// Premultiplied alpha back to plain, as Pillow unpacks it.
void Unpremultiply(std::vector<std::uint8_t>& pixels, int channels) {
  for (std::size_t i = 0; i < pixels.size(); i += channels) {
    const int alpha = pixels[i + channels - 1];
    for (int c = 0; c < channels - 1; ++c) {
      pixels[i + c] = alpha == 0 ? 0 : static_cast<std::uint8_t>(std::min(255 * pixels[i + c] / alpha, 255));
    }
  }
}

}  // namespace

absl::StatusOr<ImageHeader> ReadTiffHeader(Bytes bytes) {
  FILO_ASSIGN_OR_RETURN(const auto reader, Reader::Open(bytes));
  FILO_ASSIGN_OR_RETURN(const TiffHeader header, ReadHeader(*reader));
  return header.image;
}

absl::StatusOr<Image> DecodeTiff(Bytes bytes, const ImageHeader& /*header*/) {
  FILO_ASSIGN_OR_RETURN(const auto reader, Reader::Open(bytes));
  FILO_ASSIGN_OR_RETURN(const TiffHeader header, ReadHeader(*reader));
  Image image = Allocate(header.image);
  const std::size_t row_bytes = image.pixels.size() / image.height;
  const std::size_t pixel_bytes = row_bytes / image.width;
  std::vector<std::uint8_t> buffer;
  for (const Block& block : Layout(*reader, header)) {
    FILO_RETURN_IF_ERROR(ReadBlock(*reader, header, block, bytes.size(), buffer));
    for (int row = 0; row < block.rows; ++row) {
      const std::uint8_t* in = buffer.data() + row * block.row_bytes;
      std::uint8_t* out = image.pixels.data() + (block.y + row) * row_bytes + block.x * pixel_bytes;
      if (image.mode == Mode::kGray16) {
        PlaceRow16(in, header, block, out);
      } else {
        PlaceRow(in, header, block, out, static_cast<int>(pixel_bytes));
      }
    }
  }
  if (image.mode == Mode::kPalette) FILO_RETURN_IF_ERROR(TakePalette(*reader, header, image));
  if (header.premultiplied) Unpremultiply(image.pixels, static_cast<int>(pixel_bytes));
  if (header.bits == 16 && image.mode != Mode::kGray16) {
    image.warnings.push_back("16-bit colour was reduced to its upper 8 bits");
  }
  return image;
}

}  // namespace filo::image
