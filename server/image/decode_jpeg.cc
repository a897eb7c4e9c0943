// JPEG by libjpeg-turbo: ISLOW inverse transform and fancy upsampling, its defaults and Pillow's.
#include <csetjmp>
#include <cstdio>
#include <string>

// jpeglib.h needs stdio.h first and has no extern "C" of its own on some systems.
#include <jerror.h>
#include <jpeglib.h>

#include "fmt/format.h"
#include "server/base/status.h"
#include "server/image/codec.h"
#include "server/image/jpeg_structure.h"

namespace filo::image {
namespace {

// libjpeg's way out of an error is a longjmp, so everything between here and setjmp is plain data.
struct ErrorState {
  jpeg_error_mgr manager;  // first: libjpeg hands back a pointer to it
  std::jmp_buf escape;
  char message[JMSG_LENGTH_MAX];
  bool end_marker_missing;
};

[[noreturn]] void Escape(j_common_ptr info) {
  auto* state = reinterpret_cast<ErrorState*>(info->err);
  info->err->format_message(info, state->message);
  std::longjmp(state->escape, 1);
}

// Levels below 0 are warnings: data that libjpeg could not read and would make up. The one that may pass is
// the end of the file: when pixels are missing too, libjpeg warns of that apart.
void OnMessage(j_common_ptr info, int level) {
  if (level >= 0) return;
  if (info->err->msg_code == JWRN_JPEG_EOF) {
    reinterpret_cast<ErrorState*>(info->err)->end_marker_missing = true;
    return;
  }
  Escape(info);
}

J_COLOR_SPACE OutputSpace(int components) {
  return components == 1 ? JCS_GRAYSCALE : components == 3 ? JCS_RGB : JCS_CMYK;
}

// Decodes into `pixels`, whose size the caller made fit the header; false with state->message set on any
// fault.
bool Run(jpeg_decompress_struct* info, ErrorState* state, const unsigned char* data, std::size_t size,
         const ImageHeader* header, std::uint8_t* pixels) {
  if (setjmp(state->escape) != 0) return false;
  jpeg_create_decompress(info);
  jpeg_mem_src(info, data, static_cast<unsigned long>(size));
  jpeg_read_header(info, TRUE);
  info->out_color_space = OutputSpace(info->num_components);
  jpeg_start_decompress(info);
  if (info->output_width != static_cast<JDIMENSION>(header->width) ||
      info->output_height != static_cast<JDIMENSION>(header->height) ||
      info->output_components != (header->mode == Mode::kGray  ? 1
                                  : header->mode == Mode::kRgb ? 3
                                                               : 4)) {
    std::snprintf(state->message, sizeof(state->message), "the frame header is read in two ways");
    return false;
  }
  const std::size_t row_bytes = static_cast<std::size_t>(header->width) * info->output_components;
  while (info->output_scanline < info->output_height) {
    JSAMPROW row = pixels + info->output_scanline * row_bytes;
    jpeg_read_scanlines(info, &row, 1);
  }
  jpeg_finish_decompress(info);
  return true;
}

}  // namespace

absl::StatusOr<ImageHeader> ReadJpegHeader(Bytes bytes) {
  FILO_ASSIGN_OR_RETURN(const JpegStructure structure, ReadJpegStructure(bytes));
  ImageHeader header;
  header.format = Format::kJpeg;
  header.height = structure.height;
  header.width = structure.width;
  header.mode = structure.components == 1   ? Mode::kGray
                : structure.components == 3 ? Mode::kRgb
                                            : Mode::kCmyk;
  header.orientation = structure.orientation;
  return header;
}

absl::StatusOr<Image> DecodeJpeg(Bytes bytes, const ImageHeader& header) {
  FILO_ASSIGN_OR_RETURN(const JpegStructure structure, ReadJpegStructure(bytes));
  Image image = Allocate(header);
  jpeg_decompress_struct info{};
  ErrorState state{};
  info.err = jpeg_std_error(&state.manager);
  state.manager.error_exit = Escape;
  state.manager.emit_message = OnMessage;
  const bool whole = Run(&info, &state, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(),
                         &header, image.pixels.data());
  jpeg_destroy_decompress(&info);
  if (!whole) {
    return Refuse(fmt::format("the JPEG is damaged or cut short ({}); not all of its pixels can be told",
                              std::string(state.message)));
  }
  // Adobe's convention, which Pillow assumes for every CMYK JPEG: inks are stored inverted.
  if (image.mode == Mode::kCmyk) {
    for (std::uint8_t& ink : image.pixels) ink = static_cast<std::uint8_t>(255 - ink);
  }
  if (!structure.end_marker || state.end_marker_missing) {
    image.warnings.push_back("the JPEG end marker is missing; all pixels are there");
  }
  if (structure.trailing_bytes != 0) {
    image.warnings.push_back(
        fmt::format("{} bytes after the end of the JPEG were ignored", structure.trailing_bytes));
  }
  return image;
}

}  // namespace filo::image
