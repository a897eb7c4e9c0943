// The outer border of a set of cells as a polygon. Internal to server/image.
#pragma once

#include <vector>

#include "server/image/geometry.h"

namespace filo::image {

// Follows the border of the 8-connected cells that carry the label of cell `first`, which comes before the
// others (row-major, height * width), clockwise as seen, from its left top corner. `rows` and `columns` give
// the first original pixel of every cell and, last, one past the end; corners lie on pixel edges (whole
// numbers minus 0.5). Straight runs have two corners; beyond 1000 corners the border is simplified by as
// little as needed.
Polygon TraceOutline(const std::vector<int>& labels, int height, int width, int first,
                     const std::vector<int>& rows, const std::vector<int>& columns);

}  // namespace filo::image
