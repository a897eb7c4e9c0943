#include "server/image/png_writer.h"

#include <png.h>

#include <csetjmp>
#include <cstdio>

#include "fmt/format.h"

namespace filo::image {
namespace {

// libpng's way out of an error is a longjmp, so everything between here and setjmp is plain data.
struct State {
  std::jmp_buf escape;
  std::string* out;
  char message[200];
};

[[noreturn]] void OnError(png_structp png, png_const_charp message) {
  auto* state = static_cast<State*>(png_get_error_ptr(png));
  std::snprintf(state->message, sizeof(state->message), "%s", message);
  std::longjmp(state->escape, 1);
}

void OnWarning(png_structp, png_const_charp) {}

void Write(png_structp png, png_bytep data, std::size_t size) {
  static_cast<State*>(png_get_io_ptr(png))->out->append(reinterpret_cast<const char*>(data), size);
}

bool Run(png_structp png, png_infop info, State* state, int height, int width, int bit_depth,
         const std::uint8_t* rows, std::size_t row_bytes) {
  if (setjmp(state->escape) != 0) return false;
  png_set_write_fn(png, state, Write, nullptr);
  png_set_compression_level(png, 4);
  png_set_IHDR(png, info, static_cast<png_uint_32>(width), static_cast<png_uint_32>(height), bit_depth,
               PNG_COLOR_TYPE_GRAY, PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT,
               PNG_FILTER_TYPE_DEFAULT);
  png_write_info(png, info);
  for (int y = 0; y < height; ++y) png_write_row(png, rows + y * row_bytes);
  png_write_end(png, info);
  return true;
}

}  // namespace

absl::StatusOr<std::string> WriteGrayPng(int height, int width, int bit_depth,
                                         std::span<const std::uint8_t> rows) {
  const std::size_t row_bytes = (static_cast<std::size_t>(width) * bit_depth + 7) / 8;
  if (height < 1 || width < 1 || rows.size() != row_bytes * height) {
    return absl::InvalidArgumentError(
        fmt::format("a PNG of {} x {} pixels cannot be made of {} bytes", width, height, rows.size()));
  }
  std::string out;
  State state{};
  state.out = &out;
  png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, &state, OnError, OnWarning);
  png_infop info = png == nullptr ? nullptr : png_create_info_struct(png);
  const bool done =
      info != nullptr && Run(png, info, &state, height, width, bit_depth, rows.data(), row_bytes);
  png_destroy_write_struct(&png, &info);
  if (!done) return absl::InternalError(fmt::format("cannot write a PNG: {}", std::string(state.message)));
  return out;
}

}  // namespace filo::image
