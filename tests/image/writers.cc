#include "tests/image/writers.h"

#include <jpeglib.h>
#include <png.h>
#include <tiffio.h>
#include <webp/encode.h>

#include <cmath>
#include <csetjmp>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <stdexcept>

namespace filo::image::testing {
namespace {

[[noreturn]] void Fail(const char* what) { throw std::runtime_error(what); }

void PutLittle(Buffer& out, std::uint32_t value, int bytes) {
  for (int i = 0; i < bytes; ++i) out.push_back(static_cast<std::byte>(value >> (8 * i) & 0xff));
}

// A growing file in memory for libtiff.
struct MemoryFile {
  Buffer bytes;
  toff_t position = 0;

  static tmsize_t Read(thandle_t self, void* out, tmsize_t size) {
    auto* file = static_cast<MemoryFile*>(self);
    const auto count =
        std::min<toff_t>(size, file->bytes.size() - std::min<toff_t>(file->position, file->bytes.size()));
    std::memcpy(out, file->bytes.data() + file->position, count);
    file->position += count;
    return static_cast<tmsize_t>(count);
  }
  static tmsize_t Write(thandle_t self, void* data, tmsize_t size) {
    auto* file = static_cast<MemoryFile*>(self);
    if (file->bytes.size() < file->position + size) file->bytes.resize(file->position + size);
    std::memcpy(file->bytes.data() + file->position, data, size);
    file->position += size;
    return size;
  }
  static toff_t Seek(thandle_t self, toff_t offset, int whence) {
    auto* file = static_cast<MemoryFile*>(self);
    file->position = offset + (whence == SEEK_CUR   ? file->position
                               : whence == SEEK_END ? file->bytes.size()
                                                    : 0);
    return file->position;
  }
  static int Close(thandle_t) { return 0; }
  static toff_t Size(thandle_t self) { return static_cast<MemoryFile*>(self)->bytes.size(); }
};

}  // namespace

std::vector<std::uint8_t> Picture(int height, int width, int channels) {
  std::mt19937 random(static_cast<unsigned>(height * 10007 + width * 101 + channels));
  std::vector<std::uint8_t> pixels;
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      for (int c = 0; c < channels; ++c) {
        const double wave = 120 + 90 * std::sin(x / 5.0 + c) * std::cos(y / (7.0 + c));
        pixels.push_back(static_cast<std::uint8_t>(wave + static_cast<double>(random() % 40)));
      }
    }
  }
  return pixels;
}

Buffer WriteJpeg(const std::vector<std::uint8_t>& pixels, int height, int width, const JpegOptions& options) {
  jpeg_compress_struct info;
  jpeg_error_mgr errors;
  info.err = jpeg_std_error(&errors);  // exits on an error: a broken test
  jpeg_create_compress(&info);
  unsigned char* data = nullptr;
  unsigned long size = 0;
  jpeg_mem_dest(&info, &data, &size);
  info.image_width = static_cast<JDIMENSION>(width);
  info.image_height = static_cast<JDIMENSION>(height);
  info.input_components = options.components;
  info.in_color_space = options.components == 1   ? JCS_GRAYSCALE
                        : options.components == 3 ? JCS_RGB
                                                  : JCS_CMYK;
  jpeg_set_defaults(&info);
  jpeg_set_quality(&info, options.quality, TRUE);
  if (options.components == 3 && !options.chroma_halved) {
    info.comp_info[0].h_samp_factor = info.comp_info[0].v_samp_factor = 1;
  }
  info.restart_in_rows = options.restart_rows;
  info.arith_code = options.arithmetic ? TRUE : FALSE;
  jpeg_scan_info scans[4] = {};
  if (options.progressive) jpeg_simple_progression(&info);
  if (options.one_scan_each) {
    for (int i = 0; i < options.components; ++i) scans[i] = {1, {i, 0, 0, 0}, 0, 63, 0, 0};
    info.scan_info = scans;
    info.num_scans = options.components;
  }
  jpeg_start_compress(&info, TRUE);
  std::vector<std::uint8_t> row(static_cast<std::size_t>(width) * options.components);
  for (int y = 0; y < height; ++y) {
    std::memcpy(row.data(), &pixels[y * row.size()], row.size());
    if (options.components == 4) {
      for (auto& ink : row) ink = static_cast<std::uint8_t>(255 - ink);
    }
    JSAMPROW pointer = row.data();
    jpeg_write_scanlines(&info, &pointer, 1);
  }
  jpeg_finish_compress(&info);
  jpeg_destroy_compress(&info);
  Buffer out = ToBuffer({data, size});
  std::free(data);
  return out;
}

Buffer WritePng(const std::vector<std::uint8_t>& pixels, int height, int width, const PngOptions& options) {
  Buffer out;
  png_structp png =
      png_create_write_struct(PNG_LIBPNG_VER_STRING, nullptr, nullptr, nullptr);  // aborts on an error
  png_infop info = png_create_info_struct(png);
  png_set_write_fn(
      png, &out,
      [](png_structp p, png_bytep data, std::size_t size) {
        const Buffer more = ToBuffer({data, size});
        auto* target = static_cast<Buffer*>(png_get_io_ptr(p));
        target->insert(target->end(), more.begin(), more.end());
      },
      nullptr);
  png_set_IHDR(png, info, static_cast<png_uint_32>(width), static_cast<png_uint_32>(height),
               options.bit_depth, options.colour_type,
               options.interlaced ? PNG_INTERLACE_ADAM7 : PNG_INTERLACE_NONE, 0, 0);
  if (options.colour_type == 3) {
    png_color palette[256];
    png_byte alpha[256];
    for (int i = 0; i < 256; ++i) {
      palette[i] = {static_cast<png_byte>(i), static_cast<png_byte>(255 - i), static_cast<png_byte>(i / 2)};
      alpha[i] = static_cast<png_byte>(i);
    }
    png_set_PLTE(png, info, palette, options.colours);
    if (options.transparency) png_set_tRNS(png, info, alpha, options.colours, nullptr);
  }
  png_write_info(png, info);
  if (options.bit_depth < 8) png_set_packing(png);
  std::vector<png_bytep> rows;
  const std::size_t row_bytes = pixels.size() / height;
  for (int y = 0; y < height; ++y) rows.push_back(const_cast<png_bytep>(&pixels[y * row_bytes]));
  png_write_image(png, rows.data());
  png_write_end(png, info);
  png_destroy_write_struct(&png, &info);
  return out;
}

Buffer WriteBmp(const std::vector<std::uint8_t>& pixels, int height, int width, int bits, bool top_down) {
  const std::size_t row_bytes = (static_cast<std::size_t>(width) * bits + 31) / 32 * 4;
  const std::uint32_t extra = bits == 8 ? 1024 : bits == 16 ? 12 : 0;
  const auto data_bytes = static_cast<std::uint32_t>(row_bytes * height);
  Buffer out;
  PutLittle(out, 0x4d42, 2);
  PutLittle(out, 54 + extra + data_bytes, 4);
  PutLittle(out, 0, 4);
  PutLittle(out, 54 + extra, 4);
  PutLittle(out, 40, 4);
  PutLittle(out, static_cast<std::uint32_t>(width), 4);
  PutLittle(out, static_cast<std::uint32_t>(top_down ? -height : height), 4);
  PutLittle(out, 1, 2);
  PutLittle(out, static_cast<std::uint32_t>(bits), 2);
  PutLittle(out, bits == 16 ? 3 : 0, 4);
  PutLittle(out, data_bytes, 4);
  for (int i = 0; i < 4; ++i) PutLittle(out, 0, 4);
  if (bits == 8) {
    for (std::uint32_t i = 0; i < 256; ++i) PutLittle(out, i * 0x010101, 4);
  }
  if (bits == 16) {
    for (std::uint32_t mask : {0xf800u, 0x7e0u, 0x1fu}) PutLittle(out, mask, 4);
  }
  const std::size_t channels = bits == 8 ? 1 : 3;
  for (int row = 0; row < height; ++row) {
    const std::size_t before = out.size();
    const std::uint8_t* in =
        &pixels[static_cast<std::size_t>(top_down ? row : height - 1 - row) * width * channels];
    for (int x = 0; x < width; ++x, in += channels) {
      if (bits == 8) PutLittle(out, in[0], 1);
      if (bits == 16) PutLittle(out, (in[0] >> 3) << 11 | (in[1] >> 2) << 5 | in[2] >> 3, 2);
      if (bits >= 24) PutLittle(out, in[2] | in[1] << 8 | in[0] << 16 | 0x5a000000u, bits / 8);
    }
    out.resize(before + row_bytes);
  }
  return out;
}

Buffer WriteTiff(const std::vector<std::uint8_t>& pixels, int height, int width, const TiffOptions& options) {
  MemoryFile file;
  TIFF* tiff = TIFFClientOpen("test", "w", &file, MemoryFile::Read, MemoryFile::Write, MemoryFile::Seek,
                              MemoryFile::Close, MemoryFile::Size, nullptr, nullptr);
  if (tiff == nullptr) Fail("cannot write a TIFF");
  const std::size_t pixel_bytes = static_cast<std::size_t>(options.samples) * options.bits / 8;
  const std::size_t row_bytes = pixel_bytes * width;
  for (int page = 0; page < options.pages; ++page) {
    TIFFSetField(tiff, TIFFTAG_IMAGEWIDTH, width);
    TIFFSetField(tiff, TIFFTAG_IMAGELENGTH, height);
    TIFFSetField(tiff, TIFFTAG_BITSPERSAMPLE, options.bits);
    TIFFSetField(tiff, TIFFTAG_SAMPLESPERPIXEL, options.samples);
    TIFFSetField(tiff, TIFFTAG_SAMPLEFORMAT, options.sample_format);
    TIFFSetField(tiff, TIFFTAG_COMPRESSION, options.compression);
    TIFFSetField(tiff, TIFFTAG_PHOTOMETRIC, options.samples == 3 ? PHOTOMETRIC_RGB : PHOTOMETRIC_MINISBLACK);
    TIFFSetField(tiff, TIFFTAG_PLANARCONFIG, PLANARCONFIG_CONTIG);
    if (options.max_sample_value != 0) TIFFSetField(tiff, TIFFTAG_MAXSAMPLEVALUE, options.max_sample_value);
    if (options.orientation != 0) TIFFSetField(tiff, TIFFTAG_ORIENTATION, options.orientation);
    if (options.tile == 0) {
      TIFFSetField(tiff, TIFFTAG_ROWSPERSTRIP, options.rows_per_strip);
      for (int y = 0; y < height; ++y) {
        if (TIFFWriteScanline(tiff, const_cast<std::uint8_t*>(&pixels[y * row_bytes]), y, 0) < 0)
          Fail("TIFF row");
      }
    } else {
      TIFFSetField(tiff, TIFFTAG_TILEWIDTH, options.tile);
      TIFFSetField(tiff, TIFFTAG_TILELENGTH, options.tile);
      std::vector<std::uint8_t> tile(options.tile * options.tile * pixel_bytes);
      for (int y = 0; y < height; y += options.tile) {
        for (int x = 0; x < width; x += options.tile) {
          for (int row = 0; row < std::min(options.tile, height - y); ++row) {
            std::memcpy(&tile[row * options.tile * pixel_bytes],
                        &pixels[(y + row) * row_bytes + x * pixel_bytes],
                        std::min(options.tile, width - x) * pixel_bytes);
          }
          if (TIFFWriteTile(tiff, tile.data(), x, y, 0, 0) < 0) Fail("TIFF tile");
        }
      }
    }
    if (TIFFWriteDirectory(tiff) == 0) Fail("TIFF directory");
  }
  TIFFClose(tiff);
  return file.bytes;
}

Buffer WriteWebp(const std::vector<std::uint8_t>& pixels, int height, int width, bool lossless) {
  std::uint8_t* data = nullptr;
  const std::size_t size = lossless ? WebPEncodeLosslessRGB(pixels.data(), width, height, width * 3, &data)
                                    : WebPEncodeRGB(pixels.data(), width, height, width * 3, 80, &data);
  if (size == 0) Fail("cannot write a WebP");
  Buffer out = ToBuffer({data, size});
  WebPFree(data);
  return out;
}

}  // namespace filo::image::testing
