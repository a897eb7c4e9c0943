// Is run B better or worse than run A, and how sure is that?
#pragma once

#include <string>
#include <vector>

#include "client/load/statistic.h"
#include "nlohmann/json.hpp"

namespace filo::client {

struct ComparedMetric {
  std::string name;  // "p99 latency"
  std::string unit;  // "s", "/s", "share"
  double a = 0, b = 0;
  Estimate difference;  // b - a, with its confidence interval
  enum class Finding { kBetter, kWorse, kNoDifference, kTooFewData } finding = Finding::kNoDifference;
};

struct Comparison {
  std::vector<ComparedMetric> metrics;
  std::vector<std::string> warnings;  // why the runs may not be comparable
  bool worse = false;                 // at least one metric is
  std::string verdict;                // one sentence
};

// `tolerance`: a change smaller than this share of A is no difference, however sure it is. The p99 of short
// runs says little, so every metric with its interval counts, and the confidence is split among the metrics
// (Bonferroni).
Comparison Compare(const nlohmann::json& a, const nlohmann::json& b, double tolerance,
                   double confidence = 0.95);

std::string ComparisonText(const Comparison& comparison);
nlohmann::json ComparisonJson(const Comparison& comparison);

}  // namespace filo::client
