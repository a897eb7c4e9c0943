#include "server/category/verdict.h"

#include <algorithm>

namespace filo::category {

std::string_view VerdictName(Verdict verdict) {
  switch (verdict) {
    case Verdict::kOk:
      return "ok";
    case Verdict::kNg:
      return "ng";
    case Verdict::kUnsure:
      return "unsure";
    case Verdict::kNone:
      break;
  }
  return "none";
}

Decision Decide(const DecisionInput& input) {
  static const InspectionSettings none;
  Decision d;
  d.score = input.score;
  d.settings = Override(input.stored == nullptr ? none : *input.stored,
                        input.request == nullptr ? none : *input.request);
  const Calibration* holds = nullptr;
  if (input.calibration != nullptr) {
    d.calibration = *input.calibration;
    d.stale = WhyStale(*input.calibration, input.bundle_digest, *input.definition, d.settings);
    if (d.stale.empty()) holds = input.calibration;
  }
  d.threshold = d.settings.score_threshold;
  if (!d.threshold.has_value() && holds != nullptr) d.threshold = holds->score_threshold;
  d.pixel_threshold = d.settings.pixel_threshold.value_or(holds != nullptr ? holds->pixel_threshold
                                                                           : input.default_pixel_threshold);
  if (holds != nullptr) {
    d.map_min = std::min(holds->map_min, d.pixel_threshold);
    d.map_max = std::max(holds->map_max, d.pixel_threshold);
  }
  if (!d.threshold.has_value()) return d;
  // 0.5 is the threshold in force, also where a setting replaces the calibration's.
  if (holds != nullptr) d.calibrated_score = CalibratedScore(d.score, *d.threshold, holds->score_scale);
  const double margin = d.settings.unsure_margin.value_or(0);
  d.verdict = d.score >= *d.threshold ? Verdict::kNg : Verdict::kOk;
  if (d.score > *d.threshold - margin && d.score < *d.threshold + margin) d.verdict = Verdict::kUnsure;
  return d;
}

Verdict Worse(Verdict a, Verdict b) {
  const auto rank = [](Verdict v) {
    switch (v) {
      case Verdict::kNone:
        return 0;
      case Verdict::kOk:
        return 1;
      case Verdict::kUnsure:
        return 2;
      case Verdict::kNg:
        return 3;
    }
    return 0;
  };
  return rank(a) >= rank(b) ? a : b;
}

}  // namespace filo::category
