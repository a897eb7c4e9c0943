#include "server/image/overlay.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <opencv2/imgcodecs.hpp>
#include <opencv2/imgproc.hpp>
#include <utility>
#include <vector>

#include "fmt/format.h"
#include "server/base/status.h"

namespace filo::image {
namespace {

constexpr int kJpegQuality = 90;

int OpenCvCode(ColourMap colour_map) {
  switch (colour_map) {
    case ColourMap::kInferno:
      return cv::COLORMAP_INFERNO;
    case ColourMap::kViridis:
      return cv::COLORMAP_VIRIDIS;
    case ColourMap::kTurbo:
      return cv::COLORMAP_TURBO;
  }
  return cv::COLORMAP_INFERNO;
}

// BGR of the 256 codes.
std::array<cv::Vec3b, 256> Palette(ColourMap colour_map) {
  cv::Mat codes(1, 256, CV_8U);
  for (int i = 0; i < 256; ++i) codes.at<std::uint8_t>(0, i) = static_cast<std::uint8_t>(i);
  cv::Mat colours;
  cv::applyColorMap(codes, colours, OpenCvCode(colour_map));
  std::array<cv::Vec3b, 256> palette;
  for (int i = 0; i < 256; ++i) palette[i] = colours.at<cv::Vec3b>(0, i);
  return palette;
}

absl::Status Check(const RgbImage& photograph, const FloatMap& map, ValueRange range,
                   const OverlayOptions& options) {
  if (!(options.opacity >= 0 && options.opacity <= 1)) {
    return FieldError("opacity", fmt::format("{}", options.opacity), "be between 0 and 1");
  }
  if (options.max_side < 0) return FieldError("max_side", std::to_string(options.max_side), "be 0 or more");
  const auto fits = [](int height, int width, std::size_t channels, std::size_t values) {
    return height > 0 && width > 0 && values == channels * height * width;
  };
  if (!fits(photograph.height, photograph.width, 3, photograph.pixels.size())) {
    return absl::InvalidArgumentError("the photograph's pixels do not fit its sides");
  }
  if (!fits(map.height, map.width, 1, map.values.size())) {
    return absl::InvalidArgumentError("the map's values do not fit its sides");
  }
  if (!(range.min < range.max)) return absl::InvalidArgumentError("the map's range is empty");
  if (std::any_of(map.values.begin(), map.values.end(), [](float v) { return std::isnan(v); })) {
    return absl::InternalError("a value of the map is not a number");
  }
  return absl::OkStatus();
}

cv::Mat Photograph(const RgbImage& photograph, double factor) {
  // OpenCV does not write through the const_cast: the matrix is only read.
  const cv::Mat rgb(photograph.height, photograph.width, CV_8UC3,
                    const_cast<std::uint8_t*>(photograph.pixels.data()));
  cv::Mat bgr;
  cv::cvtColor(rgb, bgr, cv::COLOR_RGB2BGR);
  if (factor >= 1) return bgr;
  cv::Mat small;
  const cv::Size size(std::max(1, static_cast<int>(std::lround(photograph.width * factor))),
                      std::max(1, static_cast<int>(std::lround(photograph.height * factor))));
  cv::resize(bgr, small, size, 0, 0, cv::INTER_AREA);
  return small;
}

// Means where the picture is smaller than the map, bilinear where it is larger.
FloatMap Fit(const FloatMap& map, int height, int width) {
  if (height > map.height || width > map.width) return ResizeMap(map, height, width);
  FloatMap fitted{height, width, std::vector<float>(static_cast<std::size_t>(height) * width)};
  const cv::Mat in(map.height, map.width, CV_32F, const_cast<float*>(map.values.data()));  // only read
  cv::Mat out(height, width, CV_32F, fitted.values.data());
  cv::resize(in, out, out.size(), 0, 0, cv::INTER_AREA);
  return fitted;
}

void Blend(cv::Mat& picture, const FloatMap& map, ValueRange range, const OverlayOptions& options) {
  const std::array<cv::Vec3b, 256> palette = Palette(options.colour_map);
  const float scale = 255.0f / (range.max - range.min);
  for (int y = 0; y < picture.rows; ++y) {
    const float* values = &map.values[static_cast<std::size_t>(y) * picture.cols];
    for (int x = 0; x < picture.cols; ++x) {
      const auto code = static_cast<int>(std::clamp((values[x] - range.min) * scale + 0.5f, 0.0f, 255.0f));
      auto& pixel = picture.at<cv::Vec3b>(y, x);
      for (int c = 0; c < 3; ++c) {
        pixel[c] =
            cv::saturate_cast<uchar>(pixel[c] * (1 - options.opacity) + palette[code][c] * options.opacity);
      }
    }
  }
}

std::string Printable(const std::string& text) {
  std::string out;
  for (char c : text) {
    if (c >= 0x20 && c < 0x7f) {
      out += c;
    } else if ((static_cast<unsigned char>(c) & 0xc0) != 0x80) {  // once for every UTF-8 character
      out += '?';
    }
  }
  return out;
}

void DrawBox(cv::Mat& picture, const OverlayBox& box, double factor) {
  const cv::Scalar colour = box.counts ? cv::Scalar(40, 40, 230) : cv::Scalar(150, 150, 150);
  const double letters = std::max(0.35, std::min(picture.cols, picture.rows) / 1000.0);
  const int line = std::max(1, static_cast<int>(std::lround(letters * 3)));
  const auto column = [&](float x) { return std::clamp(static_cast<int>(x * factor), 0, picture.cols - 1); };
  const auto row = [&](float y) { return std::clamp(static_cast<int>(y * factor), 0, picture.rows - 1); };
  const cv::Point low(column(box.x0), row(box.y0));
  const cv::Point high(column(std::ceil(box.x1) - 1), row(std::ceil(box.y1) - 1));
  cv::rectangle(picture, low, high, colour, line);
  if (box.label.empty()) return;
  int baseline = 0;
  const std::string text = Printable(box.label);
  const cv::Size size = cv::getTextSize(text, cv::FONT_HERSHEY_SIMPLEX, letters, line, &baseline);
  const cv::Point corner(std::clamp(low.x, 0, std::max(0, picture.cols - size.width - 4)),
                         std::clamp(low.y - size.height - baseline - 2, 0, picture.rows - 1));
  cv::rectangle(picture, corner, corner + cv::Point(size.width + 4, size.height + baseline + 2), colour,
                cv::FILLED);
  cv::putText(picture, text, corner + cv::Point(2, size.height + 1), cv::FONT_HERSHEY_SIMPLEX, letters,
              cv::Scalar(255, 255, 255), line, cv::LINE_AA);
}

}  // namespace

const char* ColourMapName(ColourMap colour_map) {
  switch (colour_map) {
    case ColourMap::kInferno:
      return "inferno";
    case ColourMap::kViridis:
      return "viridis";
    case ColourMap::kTurbo:
      return "turbo";
  }
  return "?";
}

absl::StatusOr<std::string> DrawOverlay(const RgbImage& photograph, const FloatMap& map, ValueRange range,
                                        std::span<const OverlayBox> boxes, const OverlayOptions& options) {
  FILO_RETURN_IF_ERROR(Check(photograph, map, range, options));
  const int longest = std::max(photograph.height, photograph.width);
  const double factor =
      options.max_side == 0 ? 1.0 : std::min(1.0, static_cast<double>(options.max_side) / longest);
  try {
    cv::Mat picture = Photograph(photograph, factor);
    Blend(picture, Fit(map, picture.rows, picture.cols), range, options);
    // The best box last, on top.
    for (auto box = boxes.rbegin(); box != boxes.rend(); ++box) DrawBox(picture, *box, factor);
    std::vector<std::uint8_t> file;
    const bool jpeg = options.format == OverlayFormat::kJpeg;
    const std::vector<int> parameters = jpeg ? std::vector<int>{cv::IMWRITE_JPEG_QUALITY, kJpegQuality}
                                             : std::vector<int>{cv::IMWRITE_PNG_COMPRESSION, 4};
    if (!cv::imencode(jpeg ? ".jpg" : ".png", picture, file, parameters)) {
      return absl::InternalError("OpenCV cannot encode the overlay");
    }
    return std::string(file.begin(), file.end());
  } catch (const cv::Exception& error) {
    return absl::InternalError(fmt::format("OpenCV cannot draw the overlay: {}", error.what()));
  }
}

}  // namespace filo::image
