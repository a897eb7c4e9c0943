#include "server/category/calibration.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

#include "fmt/format.h"
#include "server/base/status.h"
#include "server/category/statistics.h"

namespace filo::category {
namespace {

constexpr double kTypicalGood = 0.05;  // calibrated score of the median good part

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const std::size_t n = values.size();
  return n % 2 == 1 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

struct Cut {
  double threshold = 0;
  int allowed = 0;  // good values at or above it
};

// `good` is not empty.
Cut ChooseCut(std::vector<double> good, const std::vector<double>& defective, double rate) {
  const double median = Median(good);
  std::sort(good.begin(), good.end(), std::greater<>());
  auto allowed = static_cast<std::size_t>(std::floor(rate * static_cast<double>(good.size())));
  allowed = std::min(allowed, good.size() - 1);
  // Equal values cannot be parted: allow fewer.
  while (allowed > 0 && good[allowed - 1] <= good[allowed]) --allowed;
  if (allowed > 0) {
    // Above good[allowed], and not above good[allowed - 1], which may be its neighbour on the number line.
    const double middle = good[allowed] + (good[allowed - 1] - good[allowed]) / 2;
    return {middle > good[allowed] ? middle : good[allowed - 1], static_cast<int>(allowed)};
  }
  const double largest = good[0];
  double margin = std::max((largest - median) / 10, std::abs(largest) * 1e-6 + 1e-9);
  for (const double score : defective) {
    if (score > largest) margin = std::min(margin, (score - largest) / 2);
  }
  const double above = largest + margin;
  return {above > largest ? above : std::nextafter(largest, std::numeric_limits<double>::infinity()), 0};
}

int CountAtLeast(const std::vector<double>& values, double threshold) {
  return static_cast<int>(
      std::count_if(values.begin(), values.end(), [&](double v) { return v >= threshold; }));
}

struct Samples {
  std::vector<double> good, defective, good_map, defective_map, good_median;
};

absl::StatusOr<Samples> Sort(const std::vector<LabelledScore>& images) {
  Samples samples;
  for (std::size_t i = 0; i < images.size(); ++i) {
    const LabelledScore& image = images[i];
    if (!std::isfinite(image.score) || !(image.map_max >= 0 && image.map_max <= 1) ||
        !(image.map_median >= 0 && image.map_median <= 1)) {
      return FieldError(fmt::format("images[{}]", i),
                        fmt::format("score {}, map {} to {}", image.score, image.map_median, image.map_max),
                        "have a finite score and map values between 0 and 1");
    }
    (image.defective ? samples.defective : samples.good).push_back(image.score);
    (image.defective ? samples.defective_map : samples.good_map).push_back(image.map_max);
    if (!image.defective) samples.good_median.push_back(image.map_median);
  }
  if (samples.good.size() < 2) {
    return absl::FailedPreconditionError(
        fmt::format("calibration needs at least 2 images of good parts; there are {}", samples.good.size()));
  }
  return samples;
}

// The pixel threshold and the range that pictures of the map span, with the threshold strictly inside.
void SetMapRange(const Samples& samples, double rate, Calibration& c) {
  const double pixel = ChooseCut(samples.good_map, samples.defective_map, rate).threshold;
  c.pixel_threshold = std::clamp(pixel, 1e-6, 1 - 1e-6);
  c.map_min = std::min(Median(samples.good_median), c.pixel_threshold / 2);
  // What defects reach; without any, as far above the threshold as that is above the background.
  double top = c.pixel_threshold + (c.pixel_threshold - c.map_min);
  for (const double value : samples.defective_map) top = std::max(top, value);
  c.map_max = std::clamp(top, c.pixel_threshold + (1 - c.pixel_threshold) / 1000, 1.0);
}

std::vector<std::string> Warnings(const Samples& samples, const Calibration& c, int above, double rate) {
  std::vector<std::string> warnings;
  const int n = c.good_images;
  const double best = UpperBound(0, n, kConfidence);
  if (best > rate) {
    warnings.push_back(
        fmt::format("{} good images cannot show a false-reject rate below {:.2g} with 95 % confidence; for "
                    "{:.2g} it takes "
                    "at least {}",
                    n, best, rate, TrialsToShow(rate, kConfidence)));
  }
  if (above > 0) {
    warnings.push_back(fmt::format(
        "{} of the {} good images are at or above the threshold, as the wanted rate allows", above, n));
  }
  if (samples.defective.empty()) {
    warnings.push_back("no defective images were given: how many defects the threshold misses is unknown");
    return warnings;
  }
  const auto defects = static_cast<int>(samples.defective.size());
  const int found = CountAtLeast(samples.defective, c.score_threshold);
  if (found < defects) {
    warnings.push_back(
        fmt::format("{} of the {} defective images are below the threshold and would pass as good (with 95 % "
                    "confidence at least "
                    "{:.0f} % of such defects are found)",
                    defects - found, defects, 100 * LowerBound(found, defects, kConfidence)));
  }
  return warnings;
}

}  // namespace

absl::StatusOr<CalibrationReport> Calibrate(const CalibrationRequest& request,
                                            const std::vector<LabelledScore>& images) {
  const double rate = request.false_reject_rate;
  if (!(rate > 0 && rate < 1)) {
    return FieldError("false_reject_rate", fmt::format("{}", rate), "be greater than 0 and less than 1");
  }
  FILO_ASSIGN_OR_RETURN(const Samples samples, Sort(images));
  const Cut cut = ChooseCut(samples.good, samples.defective, rate);
  CalibrationReport report;
  Calibration& c = report.calibration;
  c.id = request.id;
  c.create_time = request.now;
  c.bundle_digest = request.bundle_digest;
  if (request.category != nullptr) {
    c.category_revision = request.category->revision;
    c.definition_digest = DefinitionDigest(request.category->definition);
  }
  c.settings_digest = SettingsDigest(request.settings);
  c.baseline_id = request.baseline_id;
  c.good_images = static_cast<int>(samples.good.size());
  c.defective_images = static_cast<int>(samples.defective.size());
  c.score_threshold = cut.threshold;
  c.false_reject_rate = rate;
  c.false_reject_rate_upper = UpperBound(cut.allowed, c.good_images, kConfidence);
  if (c.defective_images > 0) {
    c.detection_rate =
        static_cast<double>(CountAtLeast(samples.defective, cut.threshold)) / c.defective_images;
  }
  const double distance = std::max(cut.threshold - Median(samples.good), 1e-9);
  c.score_scale = distance / std::log(1 / kTypicalGood - 1);
  SetMapRange(samples, rate, c);
  report.warnings = Warnings(samples, c, cut.allowed, rate);
  return report;
}

std::string WhyStale(const Calibration& calibration, std::string_view bundle_digest,
                     const Category& definition, const InspectionSettings& settings) {
  if (calibration.bundle_digest != bundle_digest) return "the model bundle has changed since";
  if (calibration.definition_digest != DefinitionDigest(definition)) {
    return "the category's class name, descriptions or states have changed since";
  }
  if (calibration.settings_digest != SettingsDigest(settings)) {
    return "regions of interest, tiling or baseline differ from those it was made with";
  }
  return "";
}

double CalibratedScore(double score, double threshold, double scale) {
  const double value = 1 / (1 + std::exp(-(score - threshold) / scale));
  // Rounding must not move a score to the other side.
  if (score >= threshold) return std::max(value, 0.5);
  return std::min(value, std::nextafter(0.5, 0.0));
}

}  // namespace filo::category
