// Reads the two folder layouts in which anomaly-detection data sets are published.
//
//   MVTec AD   ROOT/<category>/train/good/*, ROOT/<category>/test/<defect>/*,
//   ROOT/<category>/ground_truth/<defect>/
//              with masks named <image>_mask.png or <image>.png
//   VisA       ROOT/split_csv/1cls.csv (object,split,label,image,mask), paths relative to ROOT
//
// A ROOT that is itself one MVTec category (holds test/) is read as that one. Plain data; reading is
// thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace filo::evaluation {

struct Sample {
  std::string image;   // path
  std::string mask;    // path; empty for a normal sample, and for an anomalous one that has none
  std::string defect;  // folder or label: "good", "crack", ...
  bool anomalous = false;
};

struct CategoryData {
  std::string name;                       // folder name, e.g. "metal_nut"
  std::vector<std::string> train_normal;  // paths of good photographs for references and calibration
  std::vector<Sample> test;
};

// Categories in the order of their names, samples in the order of their paths. `only` limits the categories;
// empty = all. Errors name the path: kNotFound when nothing of either layout is there or a wanted category is
// missing, kInvalidArgument when an anomalous sample lacks its mask, or a listed file does not exist.
absl::StatusOr<std::vector<CategoryData>> ReadDataset(const std::string& root,
                                                      const std::vector<std::string>& only);

// A mask brought to height x width (nearest pixel): 0 or 1. Errors: kNotFound, kInvalidArgument.
absl::StatusOr<std::vector<std::uint8_t>> ReadMask(const std::string& path, int height, int width);

}  // namespace filo::evaluation
