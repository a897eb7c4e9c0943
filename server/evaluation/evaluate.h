// Runs a data set through a detector and computes the figures of the papers, category by category.
//
// Where the answers come from (a bundle in this process, a server over gRPC) is hidden behind Scorer. Figures
// are computed at the size of the maps that it returns, masks brought to that size by the nearest pixel, as
// the papers do.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "server/evaluation/dataset.h"
#include "server/evaluation/metrics.h"

namespace filo::evaluation {

// What a detector says of one image.
struct Answer {
  double score = 0;
  int height = 0;  // of the map; 0 = no map wanted, then there are no pixel figures
  int width = 0;
  std::vector<float> map;  // row-major
  double seconds = 0;      // time the detector took
};

// Asked for one image at a time, in order; `image` is a path.
using Scorer = std::function<absl::StatusOr<Answer>(const std::string& category, const std::string& image)>;
// Called after every image with how many of how many are done.
using Progress = std::function<void(const std::string& category, std::size_t done, std::size_t all)>;

struct Options {
  double max_fpr = 0.3;    // AUPRO's limit
  std::size_t misses = 6;  // worst false alarms and worst misses kept as pictures, of each kind
  std::size_t calibration =
      4;  // good training photographs (from the end of the list) that set a threshold; 0 = none
};

struct SampleResult {
  Sample sample;
  double score = 0;
  double seconds = 0;
};

// A sample on the wrong side of the ranking, drawn: photograph, map over it, outline of the truth.
struct Picture {
  std::size_t sample = 0;  // index into CategoryResult::samples
  std::vector<std::uint8_t> jpeg;
};

struct CategoryResult {
  std::string name;
  std::vector<SampleResult> samples;
  Figures image;
  Figures pixel;
  std::optional<double> aupro;
  // The highest score among Options::calibration good training photographs, and what it would do to the test
  // images.
  std::optional<double> threshold;
  std::optional<double> false_alarm_rate;  // good test images above the threshold
  std::optional<double> miss_rate;         // anomalous test images not above it
  std::vector<Picture> misses;
  double median_seconds = 0;
};

// Errors: the scorer's, with the image's path before the message.
absl::StatusOr<CategoryResult> EvaluateCategory(const CategoryData& data, const Options& options,
                                                const Scorer& scorer, const Progress& progress);

// The mean of a figure over the categories that have it; absent when none has.
std::optional<double> Mean(const std::vector<CategoryResult>& results,
                           const std::function<std::optional<double>(const CategoryResult&)>& figure);

}  // namespace filo::evaluation
