#include "server/image/regions.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <opencv2/imgproc.hpp>
#include <utility>

#include "fmt/format.h"
#include "server/image/outline.h"

namespace filo::image {
namespace {

constexpr float kNotInspected = -std::numeric_limits<float>::infinity();

// The map with no more rows and columns than the image, not inspected values marked, and where each value
// came from.
struct Cells {
  int height = 0;
  int width = 0;
  std::vector<float> values;
  std::vector<int> source;  // index of the map pixel with that value
};

absl::Status Check(const FloatMap& map, std::span<const std::uint8_t> inspected, int image_height,
                   int image_width) {
  const auto count =
      static_cast<std::size_t>(std::max(map.height, 0)) * static_cast<std::size_t>(std::max(map.width, 0));
  if (count == 0 || map.values.size() != count || image_height < 1 || image_width < 1 ||
      (!inspected.empty() && inspected.size() != count)) {
    return absl::InvalidArgumentError(fmt::format("a map of {} x {} with {} values over an image of {} x {}",
                                                  map.width, map.height, map.values.size(), image_width,
                                                  image_height));
  }
  if (!std::all_of(map.values.begin(), map.values.end(), [](float v) { return std::isfinite(v); })) {
    return absl::InvalidArgumentError("a value of the map is not a finite number");
  }
  if (!inspected.empty() && std::find(inspected.begin(), inspected.end(), 1) == inspected.end()) {
    return absl::InvalidArgumentError("no pixel of the map is inspected");
  }
  return absl::OkStatus();
}

Cells MakeCells(const FloatMap& map, std::span<const std::uint8_t> inspected, int image_height,
                int image_width) {
  Cells cells;
  cells.height = std::min(map.height, image_height);
  cells.width = std::min(map.width, image_width);
  cells.values.assign(static_cast<std::size_t>(cells.height) * cells.width, kNotInspected);
  cells.source.assign(cells.values.size(), -1);
  const std::vector<int> row = CellOfPixel(map.height, cells.height);
  const std::vector<int> column = CellOfPixel(map.width, cells.width);
  for (int y = 0; y < map.height; ++y) {
    for (int x = 0; x < map.width; ++x) {
      const std::size_t from = static_cast<std::size_t>(y) * map.width + x;
      if (!inspected.empty() && inspected[from] == 0) continue;
      const std::size_t to = static_cast<std::size_t>(row[y]) * cells.width + column[x];
      if (cells.source[to] < 0 || map.values[from] > cells.values[to]) {
        cells.values[to] = map.values[from];
        cells.source[to] = static_cast<int>(from);
      }
    }
  }
  return cells;
}

// First original pixel of every cell, and one past the last.
std::vector<int> CellStarts(int pixels, int cells) {
  const std::vector<int> cell = CellOfPixel(pixels, cells);
  std::vector<int> starts(cells + 1, pixels);
  for (int p = pixels - 1; p >= 0; --p) starts[cell[p]] = p;
  return starts;
}

struct Labels {
  std::vector<int> label;  // per cell, 0 = none
  int count = 0;           // labels are 1..count
};

Labels Connect(const Cells& cells, float threshold) {
  cv::Mat above(cells.height, cells.width, CV_8U);
  for (std::size_t i = 0; i < cells.values.size(); ++i) above.data[i] = cells.values[i] >= threshold ? 1 : 0;
  cv::Mat labels;
  Labels result;
  result.count = cv::connectedComponents(above, labels, 8, CV_32S) - 1;
  result.label.assign(labels.begin<int>(), labels.end<int>());
  return result;
}

// Sums of one region while its cells pass by.
struct Sums {
  double area = 0;
  double weighted = 0;
  int first_cell = -1;
  int peak_cell = -1;
  int top = std::numeric_limits<int>::max(), left = std::numeric_limits<int>::max();
  int bottom = -1, right = -1;  // cells, inclusive
};

std::vector<Sums> SumUp(const Cells& cells, const Labels& labels, const std::vector<int>& rows,
                        const std::vector<int>& columns) {
  std::vector<Sums> sums(labels.count + 1);
  for (int y = 0; y < cells.height; ++y) {
    for (int x = 0; x < cells.width; ++x) {
      const int cell = y * cells.width + x;
      if (labels.label[cell] == 0) continue;
      Sums& sum = sums[labels.label[cell]];
      const double pixels = static_cast<double>(rows[y + 1] - rows[y]) * (columns[x + 1] - columns[x]);
      if (sum.first_cell < 0) sum.first_cell = cell;
      sum.area += pixels;
      sum.weighted += pixels * cells.values[cell];
      if (sum.peak_cell < 0 || cells.values[cell] > cells.values[sum.peak_cell]) sum.peak_cell = cell;
      sum.top = std::min(sum.top, y);
      sum.left = std::min(sum.left, x);
      sum.bottom = std::max(sum.bottom, y);
      sum.right = std::max(sum.right, x);
    }
  }
  return sums;
}

Point CentreOf(int map_index, const FloatMap& map, const Affine& to_image) {
  return {to_image.xx * (map_index % map.width) + to_image.x0,
          to_image.yy * (map_index / map.width) + to_image.y0};
}

}  // namespace

Severity SeverityOf(float peak, float threshold, float top) {
  if (!(top > threshold)) return Severity::kHigh;
  const double share = (static_cast<double>(peak) - threshold) / (static_cast<double>(top) - threshold);
  return share < 0.33 ? Severity::kLow : share <= 0.67 ? Severity::kMedium : Severity::kHigh;
}

absl::StatusOr<RegionSet> FindRegions(const FloatMap& map, std::span<const std::uint8_t> inspected,
                                      int image_height, int image_width, const RegionOptions& options) {
  if (absl::Status status = Check(map, inspected, image_height, image_width); !status.ok()) return status;
  const Affine to_image = MapToImage(map.height, map.width, image_height, image_width);
  const Cells cells = MakeCells(map, inspected, image_height, image_width);
  const std::vector<int> rows = CellStarts(image_height, cells.height);
  const std::vector<int> columns = CellStarts(image_width, cells.width);
  const Labels labels = Connect(cells, options.threshold);
  const std::vector<Sums> sums = SumUp(cells, labels, rows, columns);

  std::vector<int> order;  // labels that are kept, best first
  std::vector<bool> drop(labels.count + 1, false);
  for (int label = 1; label <= labels.count; ++label) {
    drop[label] = sums[label].area < options.minimum_area;
    if (!drop[label]) order.push_back(label);
  }
  std::stable_sort(order.begin(), order.end(), [&](int a, int b) {
    const float peak_a = cells.values[sums[a].peak_cell];
    const float peak_b = cells.values[sums[b].peak_cell];
    return peak_a != peak_b ? peak_a > peak_b : sums[a].area > sums[b].area;
  });
  const std::size_t listed =
      options.max_regions > 0 ? std::min<std::size_t>(order.size(), options.max_regions) : order.size();
  std::vector<Region> regions;
  for (std::size_t i = 0; i < listed; ++i) {
    const Sums& sum = sums[order[i]];
    Region region;
    region.area = sum.area;
    region.mean = sum.weighted / sum.area;
    region.peak = cells.values[sum.peak_cell];
    region.peak_position = CentreOf(cells.source[sum.peak_cell], map, to_image);
    region.box = {columns[sum.left], rows[sum.top], columns[sum.right + 1], rows[sum.bottom + 1]};
    region.outline = TraceOutline(labels.label, cells.height, cells.width, sum.first_cell, rows, columns);
    region.severity = SeverityOf(region.peak, options.threshold, options.top);
    regions.push_back(std::move(region));
  }

  const auto highest = std::max_element(cells.values.begin(), cells.values.end());
  float kept_max = kNotInspected;
  std::vector<std::uint8_t> kept(cells.values.size());
  for (std::size_t i = 0; i < kept.size(); ++i) {
    const int label = labels.label[i];
    kept[i] = label != 0 && !drop[label] ? 1 : 0;
    if (!drop[label]) kept_max = std::max(kept_max, cells.values[i]);
  }
  const Point max_position = CentreOf(cells.source[highest - cells.values.begin()], map, to_image);
  return RegionSet{std::move(regions), static_cast<int>(order.size() - listed),
                   Mask(image_height, image_width, cells.height, cells.width, std::move(kept)), *highest,
                   max_position, labels.count - static_cast<int>(order.size()),
                   // Everything inspected may have been dropped; then nothing is left that could be found.
                   std::isinf(kept_max) ? 0.0f : kept_max};
}

}  // namespace filo::image
