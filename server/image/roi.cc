#include "server/image/roi.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <numbers>
#include <string>

#include "fmt/format.h"
#include "server/base/status.h"

namespace filo::image {
namespace {

constexpr std::size_t kMaxCorners = 1000;
constexpr double kHalfPixel = 0.5 + 1e-6;

// Twice the signed area of a triangle: which side of a-b c lies on.
double Side(const Point& a, const Point& b, const Point& c) {
  return (b.x - a.x) * (c.y - a.y) - (b.y - a.y) * (c.x - a.x);
}

bool Cross(const Point& a, const Point& b, const Point& c, const Point& d) {
  return Side(a, b, c) * Side(a, b, d) < 0 && Side(c, d, a) * Side(c, d, b) < 0;
}

bool CrossesItself(const Polygon& polygon) {
  const std::size_t n = polygon.size();
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t j = i + 2; j < n; ++j) {
      if (i == 0 && j == n - 1) continue;  // neighbours share a corner
      if (Cross(polygon[i], polygon[i + 1], polygon[j], polygon[(j + 1) % n])) return true;
    }
  }
  return false;
}

double SignedArea(const Polygon& polygon) {
  double twice = 0;
  for (std::size_t i = 0; i < polygon.size(); ++i) {
    const Point& a = polygon[i];
    const Point& b = polygon[(i + 1) % polygon.size()];
    twice += a.x * b.y - b.x * a.y;
  }
  return twice / 2;
}

// Columns where the row at height y enters and leaves the polygon, in pairs.
std::vector<double> Crossings(const Polygon& polygon, double y) {
  std::vector<double> crossings;
  for (std::size_t i = 0; i < polygon.size(); ++i) {
    const Point& a = polygon[i];
    const Point& b = polygon[(i + 1) % polygon.size()];
    if ((a.y <= y) == (b.y <= y)) continue;
    crossings.push_back(a.x + (y - a.y) / (b.y - a.y) * (b.x - a.x));
  }
  std::sort(crossings.begin(), crossings.end());
  return crossings;
}

void Fill(const Polygon& polygon, const Affine& to_image, int height, int width, std::uint8_t value,
          std::vector<std::uint8_t>& mask) {
  for (int row = 0; row < height; ++row) {
    const std::vector<double> crossings = Crossings(polygon, to_image.yy * row + to_image.y0);
    for (std::size_t i = 0; i + 1 < crossings.size(); i += 2) {
      const auto column = [&](double x) {  // first map column whose centre is at x or right of it
        return static_cast<int>(std::clamp(std::ceil((x - to_image.x0) / to_image.xx), 0.0, double(width)));
      };
      const auto begin = mask.begin() + static_cast<std::ptrdiff_t>(row) * width;
      std::fill(begin + column(crossings[i]),
                begin + std::max(column(crossings[i]), column(crossings[i + 1])), value);
    }
  }
}

absl::Status CheckAll(const std::vector<Polygon>& polygons, int height, int width, std::string_view field) {
  for (std::size_t i = 0; i < polygons.size(); ++i) {
    FILO_RETURN_IF_ERROR(CheckPolygon(polygons[i], height, width, fmt::format("{}[{}]", field, i)));
  }
  return absl::OkStatus();
}

std::uint8_t Bilinear(const RgbImage& image, double x, double y, int channel) {
  x = std::clamp(x, 0.0, image.width - 1.0);
  y = std::clamp(y, 0.0, image.height - 1.0);
  const int left = static_cast<int>(x);
  const int top = static_cast<int>(y);
  const auto at = [&](int row, int column) {
    row = std::min(row, image.height - 1);
    column = std::min(column, image.width - 1);
    return image.pixels[(static_cast<std::size_t>(row) * image.width + column) * 3 + channel];
  };
  const double fx = x - left;
  const double fy = y - top;
  const double upper = at(top, left) * (1 - fx) + at(top, left + 1) * fx;
  const double lower = at(top + 1, left) * (1 - fx) + at(top + 1, left + 1) * fx;
  return static_cast<std::uint8_t>(upper * (1 - fy) + lower * fy + 0.5);
}

absl::Status CheckCrop(const RgbImage& image, const CropBox& box) {
  for (double value : {box.centre.x, box.centre.y, box.width, box.height, box.degrees}) {
    if (!std::isfinite(value))
      return FieldError("crop", fmt::format("{}", value), "consist of finite numbers");
  }
  const double longest = 2 * std::hypot(image.width, image.height);
  if (box.width < 1 || box.height < 1 || box.width > longest || box.height > longest) {
    return FieldError("crop", fmt::format("{} x {} pixels", box.width, box.height),
                      "have sides of at least 1 pixel");
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckPolygon(const Polygon& polygon, int image_height, int image_width, std::string_view field) {
  if (polygon.size() < 3 || polygon.size() > kMaxCorners) {
    return FieldError(field, fmt::format("a polygon of {} points", polygon.size()),
                      fmt::format("have 3 to {} points", kMaxCorners));
  }
  const bool finite = std::all_of(polygon.begin(), polygon.end(),
                                  [](const Point& p) { return std::isfinite(p.x) && std::isfinite(p.y); });
  if (!finite)
    return FieldError(field, "a polygon with a coordinate that is not finite", "have finite coordinates");
  if (CrossesItself(polygon)) return FieldError(field, "a polygon that crosses itself", "not cross itself");
  if (std::abs(SignedArea(polygon)) < 1e-6)
    return FieldError(field, "a polygon without area", "enclose an area");
  const auto [left, right] = std::minmax_element(polygon.begin(), polygon.end(),
                                                 [](const Point& a, const Point& b) { return a.x < b.x; });
  const auto [top, bottom] = std::minmax_element(polygon.begin(), polygon.end(),
                                                 [](const Point& a, const Point& b) { return a.y < b.y; });
  if (right->x < -0.5 || bottom->y < -0.5 || left->x > image_width - 0.5 || top->y > image_height - 0.5) {
    return FieldError(
        field, fmt::format("a polygon from ({}, {}) to ({}, {})", left->x, top->y, right->x, bottom->y),
        fmt::format("reach into the image of {} x {} pixels", image_width, image_height));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<std::uint8_t>> RasteriseRoi(const RegionOfInterest& roi, int image_height,
                                                       int image_width, int map_height, int map_width) {
  FILO_RETURN_IF_ERROR(CheckAll(roi.inspect, image_height, image_width, "inspect"));
  FILO_RETURN_IF_ERROR(CheckAll(roi.ignore, image_height, image_width, "ignore"));
  const Affine to_image = MapToImage(map_height, map_width, image_height, image_width);
  std::vector<std::uint8_t> mask(static_cast<std::size_t>(map_height) * map_width,
                                 roi.inspect.empty() ? 1 : 0);
  for (const Polygon& polygon : roi.inspect) Fill(polygon, to_image, map_height, map_width, 1, mask);
  for (const Polygon& polygon : roi.ignore) Fill(polygon, to_image, map_height, map_width, 0, mask);
  if (std::find(mask.begin(), mask.end(), 1) == mask.end()) {
    return FieldError("inspect", "a region that holds no point of the map",
                      fmt::format("leave something to inspect; map points are {:.1f} x {:.1f} pixels apart",
                                  to_image.xx, to_image.yy));
  }
  return mask;
}

absl::StatusOr<Crop> CutOut(const RgbImage& image, const CropBox& box) {
  FILO_RETURN_IF_ERROR(CheckCrop(image, box));
  Crop crop;
  crop.image.width = static_cast<int>(std::lround(box.width));
  crop.image.height = static_cast<int>(std::lround(box.height));
  const double angle = box.degrees * std::numbers::pi / 180;
  const double scale_x = box.width / crop.image.width;
  const double scale_y = box.height / crop.image.height;
  Affine& to = crop.to_image;
  // An exact multiple of a right angle must not leave 1e-17 behind.
  const auto tidy = [](double v) { return std::abs(v - std::round(v)) < 1e-12 ? std::round(v) : v; };
  to.xx = tidy(std::cos(angle)) * scale_x;
  to.yx = tidy(std::sin(angle)) * scale_x;
  to.xy = -tidy(std::sin(angle)) * scale_y;
  to.yy = tidy(std::cos(angle)) * scale_y;
  const double middle_column = (crop.image.width - 1) / 2.0;
  const double middle_row = (crop.image.height - 1) / 2.0;
  to.x0 = box.centre.x - to.xx * middle_column - to.xy * middle_row;
  to.y0 = box.centre.y - to.yx * middle_column - to.yy * middle_row;
  const auto x_of = [&to](double column, double row) { return to.xx * column + to.xy * row + to.x0; };
  const auto y_of = [&to](double column, double row) { return to.yx * column + to.yy * row + to.y0; };
  for (double column : {-0.5, crop.image.width - 0.5}) {
    for (double row : {-0.5, crop.image.height - 0.5}) {
      const double x = x_of(column, row);
      const double y = y_of(column, row);
      if (x < -kHalfPixel || y < -kHalfPixel || x > image.width - 1 + kHalfPixel ||
          y > image.height - 1 + kHalfPixel) {
        return FieldError("crop", fmt::format("a rectangle with a corner at ({:.1f}, {:.1f})", x, y),
                          fmt::format("lie inside the image of {} x {} pixels", image.width, image.height));
      }
    }
  }
  crop.image.pixels.reserve(static_cast<std::size_t>(crop.image.width) * crop.image.height * 3);
  for (int row = 0; row < crop.image.height; ++row) {
    for (int column = 0; column < crop.image.width; ++column) {
      for (int c = 0; c < 3; ++c)
        crop.image.pixels.push_back(Bilinear(image, x_of(column, row), y_of(column, row), c));
    }
  }
  return crop;
}

}  // namespace filo::image
