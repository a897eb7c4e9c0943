// Points, polygons and transforms in original pixels.
//
// Pixel (0, 0) has its centre at x = 0, y = 0 for points, so its square reaches from -0.5 to 0.5. Boxes count
// whole pixels and are half-open: the whole image is [0, width) x [0, height).
#pragma once

#include <vector>

namespace filo::image {

struct Point {
  double x = 0;
  double y = 0;
};

// Closed from its last point to its first.
using Polygon = std::vector<Point>;

struct PixelBox {
  int x0 = 0, y0 = 0, x1 = 0, y1 = 0;  // x1, y1 exclusive
};

// Raster positions to original pixels: x = xx * column + xy * row + x0, y = yx * column + yy * row + y0.
struct Affine {
  double xx = 1, xy = 0, x0 = 0;
  double yx = 0, yy = 1, y0 = 0;
};

// The transform of a map that covers the whole image.
inline Affine MapToImage(int map_height, int map_width, int image_height, int image_width) {
  Affine affine;
  affine.xx = static_cast<double>(image_width) / map_width;
  affine.yy = static_cast<double>(image_height) / map_height;
  affine.x0 = 0.5 * affine.xx - 0.5;
  affine.y0 = 0.5 * affine.yy - 0.5;
  return affine;
}

}  // namespace filo::image
