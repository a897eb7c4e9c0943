#include "server/evaluation/evaluate.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "opencv2/imgcodecs.hpp"
#include "opencv2/imgproc.hpp"
#include "server/base/status.h"

namespace filo::evaluation {
namespace {

constexpr int kPictureSide = 320;  // pixels

// Photograph with the map over it (dark = 0, bright = 1, fixed range) and the truth outlined in green.
std::vector<std::uint8_t> Draw(const Sample& sample, const Answer& answer) {
  std::vector<std::uint8_t> jpeg;
  cv::Mat photo = cv::imread(sample.image, cv::IMREAD_COLOR);
  if (photo.empty()) return jpeg;
  cv::resize(photo, photo, cv::Size(kPictureSide, kPictureSide), 0, 0, cv::INTER_AREA);
  cv::Mat picture(kPictureSide, kPictureSide * 2, CV_8UC3);
  photo.copyTo(picture(cv::Rect(0, 0, kPictureSide, kPictureSide)));
  cv::Mat heat(answer.height, answer.width, CV_8U);
  for (std::size_t i = 0; i < answer.map.size(); ++i) {
    heat.data[i] = static_cast<std::uint8_t>(std::lround(std::clamp(answer.map[i], 0.0f, 1.0f) * 255.0f));
  }
  cv::resize(heat, heat, cv::Size(kPictureSide, kPictureSide), 0, 0, cv::INTER_LINEAR);
  cv::applyColorMap(heat, heat, cv::COLORMAP_INFERNO);
  cv::addWeighted(photo, 0.45, heat, 0.55, 0, picture(cv::Rect(kPictureSide, 0, kPictureSide, kPictureSide)));
  if (!sample.mask.empty()) {
    if (auto mask = ReadMask(sample.mask, kPictureSide, kPictureSide); mask.ok()) {
      const cv::Mat truth(kPictureSide, kPictureSide, CV_8U, mask->data());
      std::vector<std::vector<cv::Point>> outlines;
      cv::findContours(truth, outlines, cv::RETR_LIST, cv::CHAIN_APPROX_SIMPLE);
      cv::drawContours(picture, outlines, -1, cv::Scalar(80, 220, 80), 1, cv::LINE_AA);
    }
  }
  cv::imencode(".jpg", picture, jpeg, {cv::IMWRITE_JPEG_QUALITY, 80});
  return jpeg;
}

// Keeps the `limit` most wrong answers of one kind as pictures while the images go by, so that no map is
// kept.
class WorstKept {
 public:
  WorstKept(std::size_t limit, bool highest) : limit_(limit), highest_(highest) {}

  void Offer(std::size_t index, const Sample& sample, const Answer& answer) {
    if (limit_ == 0) return;
    const double wrongness = highest_ ? answer.score : -answer.score;
    if (kept_.size() == limit_ && kept_.back().first >= wrongness) return;
    kept_.emplace_back(wrongness, Picture{index, Draw(sample, answer)});
    std::sort(kept_.begin(), kept_.end(), [](const auto& a, const auto& b) { return a.first > b.first; });
    if (kept_.size() > limit_) kept_.pop_back();
  }

  void MoveTo(std::vector<Picture>& pictures) {
    for (auto& [wrongness, picture] : kept_) pictures.push_back(std::move(picture));
  }

 private:
  std::size_t limit_;
  bool highest_;
  std::vector<std::pair<double, Picture>> kept_;
};

absl::StatusOr<std::vector<std::uint8_t>> TruthOf(const Sample& sample, const Answer& answer) {
  if (sample.mask.empty()) {
    return std::vector<std::uint8_t>(
        static_cast<std::size_t>(answer.height) * static_cast<std::size_t>(answer.width), 0);
  }
  return ReadMask(sample.mask, answer.height, answer.width);
}

double Median(std::vector<double> values) {
  if (values.empty()) return 0;
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2),
                   values.end());
  return values[values.size() / 2];
}

// What the threshold set by a few good photographs does to the test images.
absl::Status JudgeByThreshold(const CategoryData& data, const Options& options, const Scorer& scorer,
                              CategoryResult& result) {
  const std::size_t count = std::min(options.calibration, data.train_normal.size());
  if (count == 0) return absl::OkStatus();
  double threshold = -INFINITY;
  for (std::size_t i = data.train_normal.size() - count; i < data.train_normal.size(); ++i) {
    auto answer = scorer(data.name, data.train_normal[i]);
    if (!answer.ok()) return Annotate(answer.status(), data.train_normal[i]);
    threshold = std::max(threshold, answer->score);
  }
  double good = 0, bad = 0, alarms = 0, missed = 0;
  for (const SampleResult& sample : result.samples) {
    (sample.sample.anomalous ? bad : good) += 1;
    if (sample.sample.anomalous) {
      missed += sample.score <= threshold;
    } else {
      alarms += sample.score > threshold;
    }
  }
  result.threshold = threshold;
  if (good > 0) result.false_alarm_rate = alarms / good;
  if (bad > 0) result.miss_rate = missed / bad;
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<CategoryResult> EvaluateCategory(const CategoryData& data, const Options& options,
                                                const Scorer& scorer, const Progress& progress) {
  CategoryResult result;
  result.name = data.name;
  Scores image_scores, pixel_scores;
  RegionOverlap overlap;
  WorstKept false_alarms(options.misses, true), missed(options.misses, false);
  std::vector<double> seconds;
  for (std::size_t i = 0; i < data.test.size(); ++i) {
    const Sample& sample = data.test[i];
    auto answer = scorer(data.name, sample.image);
    if (!answer.ok()) return Annotate(answer.status(), sample.image);
    (sample.anomalous ? image_scores.anomalous : image_scores.normal)
        .push_back(static_cast<float>(answer->score));
    if (answer->height > 0) {
      auto truth = TruthOf(sample, *answer);
      if (!truth.ok()) return truth.status();
      for (std::size_t p = 0; p < answer->map.size(); ++p) {
        ((*truth)[p] != 0 ? pixel_scores.anomalous : pixel_scores.normal).push_back(answer->map[p]);
      }
      overlap.Add(answer->map, *truth, answer->height, answer->width);
      (sample.anomalous ? missed : false_alarms).Offer(i, sample, *answer);
    }
    seconds.push_back(answer->seconds);
    result.samples.push_back({sample, answer->score, answer->seconds});
    if (progress) progress(data.name, i + 1, data.test.size());
  }
  result.image = Evaluate(std::move(image_scores));
  result.pixel = Evaluate(std::move(pixel_scores));
  result.aupro = overlap.Area(options.max_fpr);
  missed.MoveTo(result.misses);
  false_alarms.MoveTo(result.misses);
  result.median_seconds = Median(std::move(seconds));
  FILO_RETURN_IF_ERROR(JudgeByThreshold(data, options, scorer, result));
  return result;
}

std::optional<double> Mean(const std::vector<CategoryResult>& results,
                           const std::function<std::optional<double>(const CategoryResult&)>& figure) {
  double sum = 0, count = 0;
  for (const CategoryResult& result : results) {
    if (const auto value = figure(result)) {
      sum += *value;
      count += 1;
    }
  }
  if (count == 0) return std::nullopt;
  return sum / count;
}

}  // namespace filo::evaluation
