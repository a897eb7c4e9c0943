#include "server/image/outline.h"

#include <cstddef>
#include <opencv2/imgproc.hpp>

namespace filo::image {
namespace {

constexpr std::size_t kMaxCorners = 1000;

Polygon Simplify(const Polygon& polygon) {
  std::vector<cv::Point2f> points;
  for (const Point& point : polygon)
    points.emplace_back(static_cast<float>(point.x), static_cast<float>(point.y));
  std::vector<cv::Point2f> fewer = points;
  for (double epsilon = 0.75; fewer.size() > kMaxCorners; epsilon *= 1.5)
    cv::approxPolyDP(points, fewer, epsilon, true);
  Polygon result;
  for (const cv::Point2f& point : fewer) result.push_back({point.x, point.y});
  return result;
}

}  // namespace

Polygon TraceOutline(const std::vector<int>& labels, int height, int width, int first,
                     const std::vector<int>& rows, const std::vector<int>& columns) {
  const int label = labels[first];
  const auto inside = [&](int row, int column) {
    return row >= 0 && row < height && column >= 0 && column < width &&
           labels[static_cast<std::size_t>(row) * width + column] == label;
  };
  const int start_row = first / width;
  const int start_column = first % width;

  // Walk along cell edges with the region on the right. Directions: right, down, left, up.
  constexpr int kRow[] = {0, 1, 0, -1};
  constexpr int kColumn[] = {1, 0, -1, 0};
  // The two cells ahead of a corner, left and right of the way.
  constexpr int kLeftRow[] = {-1, 0, 0, -1}, kLeftColumn[] = {0, 0, -1, -1};
  constexpr int kRightRow[] = {0, 0, -1, -1}, kRightColumn[] = {0, -1, -1, 0};
  Polygon polygon;
  int row = start_row;
  int column = start_column;
  int direction = 0;
  int last_direction = 3;  // the start is a corner: nothing of the region lies above or left of it
  do {
    if (direction != last_direction) polygon.push_back({columns[column] - 0.5, rows[row] - 0.5});
    last_direction = direction;
    row += kRow[direction];
    column += kColumn[direction];
    if (inside(row + kLeftRow[direction], column + kLeftColumn[direction])) {
      direction = (direction + 3) % 4;  // left, also across a diagonal: cells that touch belong together
    } else if (!inside(row + kRightRow[direction], column + kRightColumn[direction])) {
      direction = (direction + 1) % 4;
    }
  } while (row != start_row || column != start_column || direction != 0);
  return polygon.size() > kMaxCorners ? Simplify(polygon) : polygon;
}

}  // namespace filo::image
