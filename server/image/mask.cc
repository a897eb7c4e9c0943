#include "server/image/mask.h"

#include <algorithm>
#include <utility>

#include "fmt/format.h"
#include "server/image/png_writer.h"

namespace filo::image {
namespace {

// COCO's numbers: groups of 5 bits, lowest first, bit 0x20 = more follow, the last group's 0x10 = negative;
// each group is one character from '0' on.
void PutNumber(std::int64_t number, std::string& out) {
  bool more = true;
  while (more) {
    std::int64_t group = number & 0x1f;
    number >>= 5;
    more = (group & 0x10) != 0 ? number != -1 : number != 0;
    if (more) group |= 0x20;
    out += static_cast<char>('0' + group);
  }
}

// Every run from the third on is written as the difference to the run two before.
std::string PutRuns(const std::vector<std::int64_t>& runs) {
  std::string out;
  for (std::size_t i = 0; i < runs.size(); ++i) PutNumber(i > 2 ? runs[i] - runs[i - 2] : runs[i], out);
  return out;
}

}  // namespace

std::vector<int> CellOfPixel(int pixels, int cells) {
  std::vector<int> table(pixels);
  for (std::int64_t p = 0; p < pixels; ++p) {
    table[p] = static_cast<int>((2 * p + 1) * cells / (2 * static_cast<std::int64_t>(pixels)));
  }
  return table;
}

Mask::Mask(int height, int width, int cell_height, int cell_width, std::vector<std::uint8_t> cells)
    : cell_width_(cell_width),
      cells_(std::move(cells)),
      row_cell_(CellOfPixel(height, cell_height)),
      column_cell_(CellOfPixel(width, cell_width)) {}

bool Mask::empty() const {
  return std::all_of(cells_.begin(), cells_.end(), [](std::uint8_t cell) { return cell == 0; });
}

absl::StatusOr<std::string> Mask::ToPng() const {
  const std::size_t row_bytes = (column_cell_.size() + 7) / 8;
  std::vector<std::uint8_t> rows(row_bytes * row_cell_.size());
  for (int y = 0; y < height(); ++y) {
    for (int x = 0; x < width(); ++x) {
      if (at(y, x)) rows[y * row_bytes + x / 8] |= static_cast<std::uint8_t>(0x80 >> (x % 8));
    }
  }
  return WriteGrayPng(height(), width(), 1, rows);
}

std::string Mask::ToCocoRle() const {
  std::vector<std::int64_t> runs;
  bool current = false;
  std::int64_t length = 0;
  for (int x = 0; x < width(); ++x) {
    for (int y = 0; y < height(); ++y) {
      if (at(y, x) != current) {
        runs.push_back(length);
        length = 0;
        current = !current;
      }
      ++length;
    }
  }
  runs.push_back(length);
  return PutRuns(runs);
}

absl::StatusOr<std::vector<std::uint8_t>> FromCocoRle(const std::string& text, int height, int width) {
  const auto damaged = [&] {
    return absl::InvalidArgumentError(
        fmt::format("no COCO run-length string of {} x {} pixels", width, height));
  };
  std::vector<std::uint8_t> mask(static_cast<std::size_t>(height) * width);
  std::vector<std::int64_t> runs;
  std::size_t position = 0;
  for (std::size_t i = 0; i < text.size();) {
    std::int64_t number = 0;
    bool more = true;
    for (int shift = 0; more; shift += 5) {
      if (i >= text.size() || shift > 35 || text[i] < '0' || text[i] > '0' + 0x3f) return damaged();
      const std::int64_t group = text[i++] - '0';
      number |= (group & 0x1f) << shift;
      more = (group & 0x20) != 0;
      if (!more && (group & 0x10) != 0) number |= -(std::int64_t{1} << (shift + 5));
    }
    if (runs.size() > 2) number += runs[runs.size() - 2];
    if (number < 0 || number > static_cast<std::int64_t>(mask.size() - position)) return damaged();
    const auto value = static_cast<std::uint8_t>(runs.size() % 2);
    for (std::int64_t k = 0; k < number; ++k, ++position) {
      mask[position % height * width + position / height] = value;
    }
    runs.push_back(number);
  }
  if (position != mask.size()) return damaged();
  return mask;
}

}  // namespace filo::image
