// Thresholds from images with known labels, with an honest word on what so many images can show.
//
// The threshold makes the wanted share of good parts NG in the sample: with k = floor(rate * n) good scores
// allowed above it, it lies halfway between the k-th and the (k+1)-th largest; with k = 0 it lies above all
// of them, by a tenth of the distance from the median to the largest, or halfway to the lowest defective
// score above them if that is nearer. The bound of the true rate needs no assumption about the distribution
// (statistics.h). Pure functions, thread-safe.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "server/category/record.h"

namespace filo::category {

inline constexpr double kConfidence = 0.95;

// What is kept of one labelled image.
struct LabelledScore {
  double score = 0;       // raw
  double map_max = 0;     // largest map value inside the region of interest, after the baseline, [0, 1]
  double map_median = 0;  // median map value, [0, 1]
  bool defective = false;
};

struct CalibrationRequest {
  double false_reject_rate = 0.01;  // wanted, in (0, 1)
  std::string bundle_digest;
  const Record* category = nullptr;
  InspectionSettings settings;  // in force while the scores were made
  std::string baseline_id;
  std::string id;
  absl::Time now;
};

struct CalibrationReport {
  Calibration calibration;
  std::vector<std::string> warnings;  // sentences for a person
};

// Errors: kInvalidArgument for a rate outside (0, 1) and for a number that is none; kFailedPrecondition with
// fewer than two good images.
absl::StatusOr<CalibrationReport> Calibrate(const CalibrationRequest& request,
                                            const std::vector<LabelledScore>& images);

// The thresholds of `calibration` do not hold for this bundle, category and settings; empty = they do.
// Otherwise why: "the bundle has changed since".
std::string WhyStale(const Calibration& calibration, std::string_view bundle_digest,
                     const Category& definition, const InspectionSettings& settings);

// Monotone in `score`, in [0, 1]; at least 0.5 exactly when score >= threshold. A typical good part (the
// median) gets about 0.05.
double CalibratedScore(double score, double threshold, double scale);

}  // namespace filo::category
