#include "server/evaluation/metrics.h"

#include <algorithm>
#include <cmath>
#include <functional>

#include "opencv2/imgproc.hpp"

namespace filo::evaluation {
namespace {

// Cumulative counts of scores at or above a threshold.
struct Step {
  float threshold;
  std::size_t false_positives;
  std::size_t true_positives;
};

// Calls `visit` once per distinct score, thresholds falling; both vectors sorted descending.
template <typename Visit>
void SweepThresholds(const std::vector<float>& normal, const std::vector<float>& anomalous, Visit visit) {
  std::size_t n = 0, a = 0;
  while (n < normal.size() || a < anomalous.size()) {
    const float threshold = n == normal.size()      ? anomalous[a]
                            : a == anomalous.size() ? normal[n]
                                                    : std::max(normal[n], anomalous[a]);
    while (n < normal.size() && normal[n] == threshold) ++n;
    while (a < anomalous.size() && anomalous[a] == threshold) ++a;
    visit(Step{threshold, n, a});
  }
}

// Collects curve points that lie at least `gap` apart, so that millions of thresholds do not become millions
// of points.
class Curve {
 public:
  explicit Curve(double gap) : gap_(gap) {}

  void Add(Point point) {
    last_ = point;
    if (points_.empty() || std::hypot(point.x - points_.back().x, point.y - points_.back().y) >= gap_) {
      points_.push_back(point);
    }
  }

  // At most `limit` points, first and last always.
  std::vector<Point> Finish(std::size_t limit) {
    points_.push_back(last_);
    if (points_.size() <= limit || limit < 2) return points_;
    std::vector<Point> thin;
    for (std::size_t i = 0; i < limit; ++i) thin.push_back(points_[i * (points_.size() - 1) / (limit - 1)]);
    return thin;
  }

 private:
  double gap_;
  Point last_;
  std::vector<Point> points_;
};

}  // namespace

Figures Evaluate(Scores scores, std::size_t curve_points) {
  Figures figures;
  if (scores.normal.empty() || scores.anomalous.empty()) return figures;
  std::sort(scores.normal.begin(), scores.normal.end(), std::greater<>());
  std::sort(scores.anomalous.begin(), scores.anomalous.end(), std::greater<>());
  const double negatives = static_cast<double>(scores.normal.size());
  const double positives = static_cast<double>(scores.anomalous.size());

  const double gap = 0.5 / static_cast<double>(std::max<std::size_t>(curve_points, 2));
  Curve roc(gap), precision_recall(gap);
  roc.Add({0, 0});
  double auroc = 0, ap = 0, best_f1 = 0, best_threshold = 0;
  double last_tp = 0, last_fp = 0;
  SweepThresholds(scores.normal, scores.anomalous, [&](const Step& step) {
    const double tp = static_cast<double>(step.true_positives),
                 fp = static_cast<double>(step.false_positives);
    const double precision = tp / (tp + fp), recall = tp / positives;
    auroc += (fp - last_fp) * (last_tp + tp) / 2;  // trapezoid: scores tied between the classes count half
    ap += (tp - last_tp) / positives * precision;
    const double f1 = 2 * tp / (tp + fp + positives);
    if (f1 > best_f1) {
      best_f1 = f1;
      best_threshold = static_cast<double>(step.threshold);
    }
    roc.Add({fp / negatives, recall});
    precision_recall.Add({recall, precision});
    last_tp = tp;
    last_fp = fp;
  });
  figures.auroc = auroc / (negatives * positives);
  figures.ap = ap;
  figures.f1_max = best_f1;
  figures.f1_threshold = best_threshold;
  figures.roc = roc.Finish(curve_points);
  figures.precision_recall = precision_recall.Finish(curve_points);
  return figures;
}

void RegionOverlap::Add(const std::vector<float>& map, const std::vector<std::uint8_t>& mask, int height,
                        int width) {
  cv::Mat truth(height, width, CV_8U);
  for (std::size_t i = 0; i < mask.size(); ++i) truth.data[i] = mask[i] != 0 ? 255 : 0;
  cv::Mat labels;
  const int count = cv::connectedComponents(truth, labels, 8, CV_32S);
  std::vector<std::size_t> sizes(static_cast<std::size_t>(count), 0);
  const int* label = labels.ptr<int>();
  for (std::size_t i = 0; i < mask.size(); ++i) ++sizes[static_cast<std::size_t>(label[i])];
  for (std::size_t i = 0; i < mask.size(); ++i) {
    if (label[i] == 0) {
      normal_.push_back(map[i]);
    } else {
      anomalous_.push_back({map[i], 1.0f / static_cast<float>(sizes[static_cast<std::size_t>(label[i])])});
    }
  }
  regions_ += static_cast<std::size_t>(count - 1);
}

std::optional<double> RegionOverlap::Area(double max_fpr) {
  if (regions_ == 0 || normal_.empty()) return std::nullopt;
  std::sort(normal_.begin(), normal_.end(), std::greater<>());
  std::sort(anomalous_.begin(), anomalous_.end(),
            [](const Pixel& a, const Pixel& b) { return a.score > b.score; });

  double area = 0, fpr = 0, overlap = 0, weight = 0;
  std::size_t n = 0, a = 0;
  while ((n < normal_.size() || a < anomalous_.size()) && fpr < max_fpr) {
    const float threshold = n == normal_.size()      ? anomalous_[a].score
                            : a == anomalous_.size() ? normal_[n]
                                                     : std::max(normal_[n], anomalous_[a].score);
    while (n < normal_.size() && normal_[n] == threshold) ++n;
    for (; a < anomalous_.size() && anomalous_[a].score == threshold; ++a) {
      weight += static_cast<double>(anomalous_[a].weight);
    }
    const double new_fpr = static_cast<double>(n) / static_cast<double>(normal_.size());
    const double new_overlap = weight / static_cast<double>(regions_);
    const double end = std::min(new_fpr, max_fpr);
    if (end > fpr) {
      const double at_end = overlap + (new_overlap - overlap) * (end - fpr) / (new_fpr - fpr);
      area += (end - fpr) * (overlap + at_end) / 2;
    }
    fpr = new_fpr;
    overlap = new_overlap;
  }
  return area / max_fpr;
}

}  // namespace filo::evaluation
