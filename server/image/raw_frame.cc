#include "server/image/raw_frame.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <opencv2/imgproc.hpp>
#include <string>
#include <vector>

#include "fmt/format.h"
#include "server/base/status.h"

namespace filo::image {
namespace {

enum class Kind { kMono, kBayer, kColour, kYuv };

struct FormatInfo {
  const char* name;
  Kind kind;
  int bits;    // significant, of a sample
  int stored;  // bits a pixel takes in a row
  int code;    // kBayer: OpenCV's conversion; kColour, kYuv: position of red, of the first luma
};

// OpenCV names a mosaic after its second row; since 4.5 the names below give the first two rows.
constexpr std::array<FormatInfo, 22> kFormats = {{
    {"Mono8", Kind::kMono, 8, 8, 0},
    {"Mono10", Kind::kMono, 10, 16, 0},
    {"Mono10p", Kind::kMono, 10, 10, 0},
    {"Mono12", Kind::kMono, 12, 16, 0},
    {"Mono12p", Kind::kMono, 12, 12, 0},
    {"Mono16", Kind::kMono, 16, 16, 0},
    {"BayerRG8", Kind::kBayer, 8, 8, cv::COLOR_BayerRGGB2RGB},
    {"BayerGR8", Kind::kBayer, 8, 8, cv::COLOR_BayerGRBG2RGB},
    {"BayerGB8", Kind::kBayer, 8, 8, cv::COLOR_BayerGBRG2RGB},
    {"BayerBG8", Kind::kBayer, 8, 8, cv::COLOR_BayerBGGR2RGB},
    {"BayerRG10", Kind::kBayer, 10, 16, cv::COLOR_BayerRGGB2RGB},
    {"BayerGR10", Kind::kBayer, 10, 16, cv::COLOR_BayerGRBG2RGB},
    {"BayerGB10", Kind::kBayer, 10, 16, cv::COLOR_BayerGBRG2RGB},
    {"BayerBG10", Kind::kBayer, 10, 16, cv::COLOR_BayerBGGR2RGB},
    {"BayerRG12", Kind::kBayer, 12, 16, cv::COLOR_BayerRGGB2RGB},
    {"BayerGR12", Kind::kBayer, 12, 16, cv::COLOR_BayerGRBG2RGB},
    {"BayerGB12", Kind::kBayer, 12, 16, cv::COLOR_BayerGBRG2RGB},
    {"BayerBG12", Kind::kBayer, 12, 16, cv::COLOR_BayerBGGR2RGB},
    {"RGB8", Kind::kColour, 8, 24, 0},
    {"BGR8", Kind::kColour, 8, 24, 2},
    {"YUV422_8", Kind::kYuv, 8, 16, 0},
    {"YUV422_8_UYVY", Kind::kYuv, 8, 16, 1},
}};

const FormatInfo& InfoOf(PixelFormat format) { return kFormats[static_cast<std::size_t>(format)]; }

absl::Status CheckSide(std::string_view field, std::int64_t side, const DecodeLimits& limits) {
  const int least = std::max(limits.min_side, 1);
  if (side >= least && side <= limits.max_side) return absl::OkStatus();
  return FieldError(field, std::to_string(side), fmt::format("be between {} and {}", least, limits.max_side));
}

absl::Status CheckSides(const RawFrame& frame, const FormatInfo& info, const DecodeLimits& limits) {
  FILO_RETURN_IF_ERROR(CheckSide("width", frame.width, limits));
  FILO_RETURN_IF_ERROR(CheckSide("height", frame.height, limits));
  if (static_cast<std::int64_t>(frame.width) * frame.height > limits.max_pixels) {
    return FieldError("height", fmt::format("{}, with {} columns", frame.height, frame.width),
                      fmt::format("leave at most {} pixels", limits.max_pixels));
  }
  if (info.kind == Kind::kYuv && frame.width % 2 != 0) {
    return FieldError("width", std::to_string(frame.width), fmt::format("be even for {}", info.name));
  }
  if (info.kind == Kind::kBayer && std::min(frame.width, frame.height) < 4) {
    return FieldError(frame.width < 4 ? "width" : "height",
                      std::to_string(std::min(frame.width, frame.height)),
                      fmt::format("be at least 4 for {}", info.name));
  }
  return absl::OkStatus();
}

// Returns the stride in force.
absl::StatusOr<std::int64_t> CheckSizes(const RawFrame& frame, const FormatInfo& info,
                                        const DecodeLimits& limits) {
  const std::int64_t row = RawRowBytes(frame.format, frame.width);
  const std::int64_t stride = frame.stride == 0 ? row : frame.stride;
  if (stride < row) {
    return FieldError(
        "stride_bytes", std::to_string(frame.stride),
        fmt::format("be 0 or at least {}, one row of {} pixels of {}", row, frame.width, info.name));
  }
  // A stride beyond any file makes the products below overflow.
  if (stride > static_cast<std::int64_t>(limits.max_bytes)) {
    return FieldError("stride_bytes", std::to_string(frame.stride),
                      fmt::format("be at most {}", limits.max_bytes));
  }
  const auto bytes = static_cast<std::int64_t>(frame.data.size());
  const std::int64_t least = stride * (frame.height - 1) + row;
  if (bytes != least && bytes != stride * frame.height) {
    return FieldError(
        "data", fmt::format("{} bytes", bytes),
        fmt::format("have {} bytes for {} x {} pixels of {} with {} bytes a row{}", least, frame.width,
                    frame.height, info.name, stride,
                    least == stride * frame.height ? "" : fmt::format(", or {}", stride * frame.height)));
  }
  if (frame.data.size() > limits.max_bytes) {
    return FieldError("data", fmt::format("{} bytes", bytes),
                      fmt::format("have at most {} bytes", limits.max_bytes));
  }
  return stride;
}

const std::uint8_t* Row(const RawFrame& frame, std::int64_t stride, int y) {
  return reinterpret_cast<const std::uint8_t*>(frame.data.data()) + stride * y;
}

// The samples of a one-channel format, 16 bits each.
std::vector<std::uint16_t> Samples(const RawFrame& frame, const FormatInfo& info, std::int64_t stride) {
  std::vector<std::uint16_t> samples;
  samples.reserve(static_cast<std::size_t>(frame.width) * frame.height);
  for (int y = 0; y < frame.height; ++y) {
    const std::uint8_t* row = Row(frame, stride, y);
    for (std::int64_t x = 0; x < frame.width; ++x) {
      const std::int64_t bit = x * info.stored;
      std::uint32_t word = row[bit / 8];
      if (bit % 8 + info.stored > 8) word |= static_cast<std::uint32_t>(row[bit / 8 + 1]) << 8;
      word >>= bit % 8;
      if (info.stored < 16) word &= (1u << info.stored) - 1;
      samples.push_back(static_cast<std::uint16_t>(word));
    }
  }
  return samples;
}

absl::Status CheckValues(const std::vector<std::uint16_t>& samples, int width, int bits,
                         std::string_view field) {
  const auto high =
      std::find_if(samples.begin(), samples.end(), [bits](std::uint16_t v) { return v >> bits != 0; });
  if (high == samples.end()) return absl::OkStatus();
  const auto at = static_cast<std::int64_t>(high - samples.begin());
  return FieldError(field, fmt::format("{} at row {}, column {}", *high, at / width, at % width),
                    fmt::format("stay below 2^{}", bits));
}

std::uint8_t ToEight(std::uint32_t value, int bits) {
  const std::uint32_t top = (1u << bits) - 1;
  return static_cast<std::uint8_t>((value * 255 + top / 2) / top);
}

absl::StatusOr<Image> DecodeMono(const RawFrame& frame, const FormatInfo& info, std::int64_t stride,
                                 Image image) {
  const int bits = frame.significant_bits != 0 ? frame.significant_bits : info.bits;
  const std::vector<std::uint16_t> samples = Samples(frame, info, stride);
  FILO_RETURN_IF_ERROR(
      CheckValues(samples, frame.width, bits, frame.significant_bits != 0 ? "significant_bits" : "data"));
  image.mode = Mode::kGray;
  image.pixels.reserve(samples.size());
  for (std::uint16_t sample : samples) image.pixels.push_back(ToEight(sample, bits));
  return image;
}

absl::StatusOr<Image> DecodeBayer(const RawFrame& frame, const FormatInfo& info, std::int64_t stride,
                                  Image image) {
  std::vector<std::uint16_t> samples = Samples(frame, info, stride);
  FILO_RETURN_IF_ERROR(CheckValues(samples, frame.width, info.bits, "data"));
  try {
    const cv::Mat mosaic(frame.height, frame.width, CV_16U, samples.data());
    cv::Mat colour;
    cv::cvtColor(mosaic, colour, info.code);
    const auto* in = colour.ptr<std::uint16_t>();
    for (std::size_t i = 0; i < samples.size() * 3; ++i) image.pixels.push_back(ToEight(in[i], info.bits));
  } catch (const cv::Exception& error) {
    return absl::InternalError(fmt::format("OpenCV cannot fill in the mosaic: {}", error.what()));
  }
  return image;
}

Image DecodeColour(const RawFrame& frame, const FormatInfo& info, std::int64_t stride, Image image) {
  for (int y = 0; y < frame.height; ++y) {
    const std::uint8_t* pixel = Row(frame, stride, y);
    for (int x = 0; x < frame.width; ++x, pixel += 3) {
      image.pixels.push_back(pixel[info.code]);
      image.pixels.push_back(pixel[1]);
      image.pixels.push_back(pixel[2 - info.code]);
    }
  }
  return image;
}

// BT.601, full range (the JFIF equations).
void PutYuv(int y, int u, int v, std::vector<std::uint8_t>& out) {
  const auto put = [&out](double value) {
    out.push_back(static_cast<std::uint8_t>(std::clamp(std::lround(value), 0L, 255L)));
  };
  put(y + 1.402 * (v - 128));
  put(y - 0.344136 * (u - 128) - 0.714136 * (v - 128));
  put(y + 1.772 * (u - 128));
}

Image DecodeYuv(const RawFrame& frame, const FormatInfo& info, std::int64_t stride, Image image) {
  const int luma = info.code;
  const int chroma = 1 - luma;
  for (int y = 0; y < frame.height; ++y) {
    const std::uint8_t* pair = Row(frame, stride, y);
    for (int x = 0; x < frame.width; x += 2, pair += 4) {
      PutYuv(pair[luma], pair[chroma], pair[chroma + 2], image.pixels);
      PutYuv(pair[luma + 2], pair[chroma], pair[chroma + 2], image.pixels);
    }
  }
  return image;
}

}  // namespace

const char* PixelFormatName(PixelFormat format) { return InfoOf(format).name; }

std::int64_t RawRowBytes(PixelFormat format, int width) {
  return (static_cast<std::int64_t>(width) * InfoOf(format).stored + 7) / 8;
}

absl::StatusOr<Image> DecodeRaw(const RawFrame& frame, const DecodeLimits& limits) {
  const FormatInfo& info = InfoOf(frame.format);
  FILO_RETURN_IF_ERROR(CheckSides(frame, info, limits));
  if (frame.significant_bits != 0 &&
      (frame.format != PixelFormat::kMono16 || frame.significant_bits < 1 || frame.significant_bits > 16)) {
    return FieldError("significant_bits", std::to_string(frame.significant_bits),
                      frame.format == PixelFormat::kMono16 ? "be between 1 and 16, or 0"
                                                           : fmt::format("be 0 for {}", info.name));
  }
  FILO_ASSIGN_OR_RETURN(const std::int64_t stride, CheckSizes(frame, info, limits));
  Image image;
  image.height = frame.height;
  image.width = frame.width;
  image.mode = Mode::kRgb;
  if (info.kind == Kind::kMono) return DecodeMono(frame, info, stride, std::move(image));
  image.pixels.reserve(static_cast<std::size_t>(frame.width) * frame.height * 3);
  if (info.kind == Kind::kBayer) return DecodeBayer(frame, info, stride, std::move(image));
  return info.kind == Kind::kColour ? DecodeColour(frame, info, stride, std::move(image))
                                    : DecodeYuv(frame, info, stride, std::move(image));
}

}  // namespace filo::image
