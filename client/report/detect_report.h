// `detect --report`: one page with every photograph, its verdict and its heat map.
#pragma once

#include <string>
#include <vector>

#include "client/detect/answer.h"

namespace filo::client {

// Collects answers as they come, then writes the page. Photographs are kept as small JPEGs only.
// Thread-compatible.
class DetectReport {
 public:
  // `picture_side`: pixels of the longest side of the pictures in the page.
  DetectReport(std::string category, std::string server, int picture_side);

  // `image`: the file's bytes; empty if it could not be read.
  void Add(const Answer& answer, const std::string& image);
  std::string Html() const;

 private:
  struct Row {
    Answer answer;                    // without map and image
    std::string photograph, heatmap;  // data URIs, may be empty
  };
  std::string CategoryText() const;
  std::string Tiles() const;
  std::string ScoreStrip() const;
  std::string TableRow(const Row& row, std::size_t index) const;

  std::string category_, server_;
  int picture_side_;
  std::vector<Row> rows_;
};

}  // namespace filo::client
