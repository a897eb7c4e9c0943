// The outcome of an evaluation for a person (table), a program (JSON) and a browser (one HTML file, no
// network). Pure functions.
#pragma once

#include <string>
#include <vector>

#include "nlohmann/json.hpp"
#include "server/evaluation/evaluate.h"

namespace filo::evaluation {

// What was evaluated, with what.
struct RunInfo {
  std::string dataset;  // path as given
  std::string source;   // "bundle <name>" or "server <address>"
  std::string bundle_name;
  std::string bundle_digest;  // SHA-256, hex
  std::string profile;        // "paper" or "released"
  int references = 0;         // good photographs given per category
  std::string date;           // ISO 8601, UTC
  double max_fpr = 0.3;
};

// One line a category and the mean; figures in per cent.
std::string TableText(const RunInfo& info, const std::vector<CategoryResult>& results);

// format "filo-eval", version 1. Figures are fractions; an undefined one is null. `with_samples` adds every
// image's score.
nlohmann::json ReportJson(const RunInfo& info, const std::vector<CategoryResult>& results, bool with_samples);

// Curves, score histograms and the worst misses as pictures.
std::string ReportHtml(const RunInfo& info, const std::vector<CategoryResult>& results);

}  // namespace filo::evaluation
