// The figures of merit of the anomaly-detection papers, exact (no binning), ties handled as scikit-learn
// does.
//
// Pure functions on values; thread-safe. Scores are any finite floats, higher = more anomalous.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace filo::evaluation {

// Scores of one task, split by truth: images, or pixels of all images together.
struct Scores {
  std::vector<float> normal;
  std::vector<float> anomalous;
};

struct Point {
  double x = 0;
  double y = 0;
};

// A figure is absent where it is undefined: without a normal or without an anomalous score.
struct Figures {
  std::optional<double> auroc;          // area under the ROC curve; ties count half
  std::optional<double> ap;             // average precision: sum of (R_k - R_{k-1}) P_k, no interpolation
  std::optional<double> f1_max;         // best F1 over all thresholds
  std::optional<double> f1_threshold;   // score >= this gives f1_max
  std::vector<Point> roc;               // (false-positive rate, true-positive rate), at most `curve_points`
  std::vector<Point> precision_recall;  // (recall, precision), likewise
};

// Sorts its argument, which is why it takes it by value: move it in when it is large.
Figures Evaluate(Scores scores, std::size_t curve_points = 200);

// Per-region overlap (Bergmann et al., 2021, section 5): every connected region of the truth weighs the same.
// Not thread-safe.
class RegionOverlap {
 public:
  // One image: `map` and `mask` (nonzero = anomalous) row-major, height * width each. Regions are
  // 8-connected.
  void Add(const std::vector<float>& map, const std::vector<std::uint8_t>& mask, int height, int width);

  // Area under the mean overlap over the false-positive rate from 0 to `max_fpr`, divided by max_fpr: [0, 1].
  // The curve is piecewise linear between distinct scores, and cut by interpolation at max_fpr. Absent
  // without a region or without a normal pixel. Sorts what was added.
  std::optional<double> Area(double max_fpr = 0.3);

  std::size_t regions() const { return regions_; }

 private:
  struct Pixel {
    float score;
    float weight;  // 1 / pixels of its region
  };
  std::vector<float> normal_;
  std::vector<Pixel> anomalous_;
  std::size_t regions_ = 0;
};

}  // namespace filo::evaluation
