// A binary mask over the original pixels, kept at the map's resolution, and its encodings.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace filo::image {

// Cells form a grid over the image; no side of the grid has more cells than the image has pixels, so every
// cell holds the centre of at least one pixel. Immutable after construction; thread-safe.
class Mask {
 public:
  // `cells`: cell_height * cell_width values, 0 or 1; cell sides >= 1 and <= the image's.
  Mask(int height, int width, int cell_height, int cell_width, std::vector<std::uint8_t> cells);

  int height() const { return static_cast<int>(row_cell_.size()); }
  int width() const { return static_cast<int>(column_cell_.size()); }
  bool at(int row, int column) const { return cells_[Index(row_cell_[row], column_cell_[column])] != 0; }
  bool empty() const;

  // 1-bit gray PNG of the image's size, 1 = set.
  absl::StatusOr<std::string> ToPng() const;
  // COCO's compressed run-length string: runs of 0 and 1 in turn, column after column, beginning with 0.
  std::string ToCocoRle() const;

 private:
  std::size_t Index(int cell_row, int cell_column) const {
    return static_cast<std::size_t>(cell_row) * cell_width_ + cell_column;
  }

  int cell_width_;
  std::vector<std::uint8_t> cells_;
  std::vector<int> row_cell_;     // per original row
  std::vector<int> column_cell_;  // per original column
};

// The cell that holds the centre of each of `pixels` pixels, for `cells` cells over them.
std::vector<int> CellOfPixel(int pixels, int cells);

// Reads ToCocoRle back: row-major, one byte a pixel, 0 or 1. Error (kInvalidArgument) when the runs do not
// add up to height * width or the text is no such string.
absl::StatusOr<std::vector<std::uint8_t>> FromCocoRle(const std::string& text, int height, int width);

}  // namespace filo::image
