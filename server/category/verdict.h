// OK, NG or UNSURE, and everything that a reply says about how that came. Pure functions, thread-safe.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "server/category/calibration.h"
#include "server/category/record.h"

namespace filo::category {

enum class Verdict { kNone, kOk, kNg, kUnsure };  // kNone: no threshold is known

// "ok", "ng", "unsure", "none".
std::string_view VerdictName(Verdict verdict);

struct Decision {
  Verdict verdict = Verdict::kNone;
  double score = 0;                        // raw, as compared
  std::optional<double> threshold;         // raw
  std::optional<double> calibrated_score;  // with a calibration that holds
  std::optional<Calibration> calibration;  // the category's, also when stale
  std::string stale;                // why the calibration was not used; empty = it was, or there is none
  InspectionSettings settings;      // in force: the category's under the request's
  double pixel_threshold = 0;       // in force, [0, 1]
  double map_min = 0, map_max = 1;  // range for pictures of the map
};

struct DecisionInput {
  double score = 0;
  const Category* definition = nullptr;
  const InspectionSettings* stored = nullptr;   // null: an inline category
  const InspectionSettings* request = nullptr;  // overrides; null: none
  const Calibration* calibration = nullptr;     // null: none
  std::string_view bundle_digest;
  double default_pixel_threshold = 0.5;
};

// score >= threshold is NG; |score - threshold| < unsure_margin is UNSURE. The threshold is the request's,
// else the category's, else that of a calibration that holds.
Decision Decide(const DecisionInput& input);

// Verdict of several views of one part: NG if any is NG, else UNSURE if any is, else OK; kNone if none has a
// threshold.
Verdict Worse(Verdict a, Verdict b);

}  // namespace filo::category
