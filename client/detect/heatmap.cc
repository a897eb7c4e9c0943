#include "client/detect/heatmap.h"

#include <algorithm>
#include <cmath>
#include <opencv2/imgcodecs.hpp>
#include <opencv2/imgproc.hpp>
#include <span>
#include <vector>

#include "fmt/format.h"
#include "server/image/decode.h"
#include "server/image/resize.h"

namespace filo::client {
namespace {

constexpr int kJpegQuality = 88;

absl::StatusOr<cv::Mat> DecodePhotograph(const std::string& bytes) {
  // The server's own decoder: same pixels, same refusals, no EXIF rotation.
  auto image = image::Decode(std::as_bytes(std::span(bytes.data(), bytes.size())), {});
  if (!image.ok()) return image.status();
  image::RgbImage rgb = image::ConvertToRgb(*image);
  cv::Mat bgr;
  cv::cvtColor(cv::Mat(rgb.height, rgb.width, CV_8UC3, rgb.pixels.data()), bgr, cv::COLOR_RGB2BGR);
  return bgr;
}

// The map's values at every pixel of the photograph, scaled so that the fixed range is [0, 1].
absl::StatusOr<cv::Mat> MapOverImage(const filo::v1::AnomalyMap& map, cv::Size size) {
  const std::vector<unsigned char> file(map.data().begin(), map.data().end());
  const cv::Mat codes = cv::imdecode(file, cv::IMREAD_UNCHANGED);
  if (codes.empty() || codes.channels() != 1) return absl::InternalError("the server's map is no gray PNG");
  cv::Mat values;
  codes.convertTo(values, CV_32F, 1.0 / (codes.depth() == CV_16U ? 65535.0 : 255.0));
  const auto& to = map.to_image();
  const cv::Matx23d map_to_image(to.xx(), to.xy(), to.x0(), to.yx(), to.yy(), to.y0());
  cv::Mat over;
  cv::warpAffine(values, over, map_to_image, size, cv::INTER_LINEAR, cv::BORDER_REPLICATE);
  return over;
}

// Colours by value; the photograph shines through where nothing was found.
cv::Mat Blend(const cv::Mat& photograph, const cv::Mat& values, double opacity) {
  cv::Mat codes, colours, blended(photograph.size(), CV_8UC3);
  values.convertTo(codes, CV_8U, 255.0);
  cv::applyColorMap(codes, colours, cv::COLORMAP_TURBO);
  for (int y = 0; y < photograph.rows; ++y) {
    for (int x = 0; x < photograph.cols; ++x) {
      const double value = std::clamp<double>(values.at<float>(y, x), 0, 1);
      const double weight = opacity * (0.25 + 0.75 * value);
      const auto& under = photograph.at<cv::Vec3b>(y, x);
      const auto& over = colours.at<cv::Vec3b>(y, x);
      auto& out = blended.at<cv::Vec3b>(y, x);
      for (int c = 0; c < 3; ++c)
        out[c] = cv::saturate_cast<uchar>(under[c] * (1 - weight) + over[c] * weight);
    }
  }
  return blended;
}

// Text on a filled plate, kept inside the picture. `anchor` is the plate's top left corner.
void DrawLabel(cv::Mat& picture, const std::string& text, cv::Point anchor, const cv::Scalar& plate,
               double scale) {
  const int thickness = std::max(1, static_cast<int>(std::lround(scale * 1.6)));
  int baseline = 0;
  const cv::Size size = cv::getTextSize(text, cv::FONT_HERSHEY_DUPLEX, scale, thickness, &baseline);
  const int pad = std::max(2, static_cast<int>(scale * 8));
  const cv::Size outer(size.width + 2 * pad, size.height + baseline + 2 * pad);
  anchor.x = std::clamp(anchor.x, 0, std::max(0, picture.cols - outer.width));
  anchor.y = std::clamp(anchor.y, 0, std::max(0, picture.rows - outer.height));
  cv::rectangle(picture, cv::Rect(anchor, outer), plate, cv::FILLED);
  cv::putText(picture, text, anchor + cv::Point(pad, pad + size.height), cv::FONT_HERSHEY_DUPLEX, scale,
              cv::Scalar(255, 255, 255), thickness, cv::LINE_AA);
}

// OpenCV's fonts hold ASCII only.
std::string Ascii(const std::string& text) {
  std::string ascii;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte < 0x7f) ascii += c;
    if (byte >= 0xC0) ascii += '?';
  }
  return ascii;
}

void DrawBoxes(cv::Mat& picture, const filo::v1::DetectionResult& result, double factor, double scale) {
  const int thickness = std::max(1, static_cast<int>(std::lround(scale * 3)));
  for (int i = result.boxes_size() - 1; i >= 0; --i) {  // the most confident last, on top
    const auto& box = result.boxes(i);
    const auto& r = box.rectangle();
    const cv::Scalar colour = box.counts() ? cv::Scalar(60, 60, 230) : cv::Scalar(150, 150, 150);
    const cv::Point low(static_cast<int>(r.x_min() * factor), static_cast<int>(r.y_min() * factor));
    const cv::Point high(static_cast<int>(r.x_max() * factor) - 1, static_cast<int>(r.y_max() * factor) - 1);
    cv::rectangle(picture, low, high, colour, thickness, cv::LINE_AA);
    DrawLabel(picture, Ascii(fmt::format("{} {:.2f}", box.phrase(), box.confidence())), low, colour,
              scale * 0.8);
  }
}

void DrawCaption(cv::Mat& picture, const Answer& answer, double scale) {
  const std::string word = VerdictWord(VerdictOf(answer));
  const cv::Scalar plate = word == "NG"       ? cv::Scalar(40, 40, 200)
                           : word == "UNSURE" ? cv::Scalar(0, 140, 220)
                           : word == "OK"     ? cv::Scalar(60, 140, 40)
                                              : cv::Scalar(70, 70, 70);
  DrawLabel(picture, fmt::format("{}{}score {:.4f}", word, word.empty() ? "" : "  ", answer.result.score()),
            {0, picture.rows}, plate, scale);
}

absl::StatusOr<std::string> Encode(const cv::Mat& picture, const std::string& format) {
  std::vector<unsigned char> file;
  const std::vector<int> parameters =
      format == ".jpg" ? std::vector<int>{cv::IMWRITE_JPEG_QUALITY, kJpegQuality} : std::vector<int>{};
  if (!cv::imencode(format, picture, file, parameters))
    return absl::InternalError("the picture cannot be encoded");
  return std::string(file.begin(), file.end());
}

// Shrinks to max_side; returns the factor.
double Shrink(cv::Mat& picture, int max_side) {
  const double factor =
      max_side <= 0 ? 1.0
                    : std::min(1.0, static_cast<double>(max_side) / std::max(picture.cols, picture.rows));
  if (factor < 1) {
    cv::Mat small;
    const cv::Size size(std::max(1, static_cast<int>(picture.cols * factor)),
                        std::max(1, static_cast<int>(picture.rows * factor)));
    cv::resize(picture, small, size, 0, 0, cv::INTER_AREA);
    picture = small;
  }
  return factor;
}

}  // namespace

void RequestMap(filo::v1::DetectRequest& request) {
  auto* map = request.mutable_outputs()->add_maps();
  map->set_encoding(filo::v1::MAP_ENCODING_PNG16);
  map->set_size(filo::v1::MAP_SIZE_MODEL);
}

absl::StatusOr<std::string> DrawHeatmap(const Answer& answer, const std::string& image,
                                        const HeatmapOptions& options) {
  if (answer.result.maps().empty()) return absl::FailedPreconditionError("the answer holds no anomaly map");
  auto photograph = DecodePhotograph(image);
  if (!photograph.ok()) return photograph.status();
  auto values = MapOverImage(answer.result.maps(0), photograph->size());
  if (!values.ok()) return values.status();
  const double factor = Shrink(*photograph, options.max_side);
  if (factor < 1) cv::resize(*values, *values, photograph->size(), 0, 0, cv::INTER_AREA);
  cv::Mat picture = Blend(*photograph, *values, options.opacity);
  // Letters of about 1/40 of the picture, but legible on small ones.
  const double scale = std::max(0.35, std::min(picture.cols, picture.rows) / 900.0);
  if (options.boxes) DrawBoxes(picture, answer.result, factor, scale);
  if (options.caption) DrawCaption(picture, answer, scale);
  if (options.beside) cv::hconcat(*photograph, picture, picture);
  return Encode(picture, options.format);
}

absl::StatusOr<std::string> DrawThumbnail(const std::string& image, int max_side) {
  auto photograph = DecodePhotograph(image);
  if (!photograph.ok()) return photograph.status();
  Shrink(*photograph, max_side);
  return Encode(*photograph, ".jpg");
}

}  // namespace filo::client
