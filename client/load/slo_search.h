// Finds the highest rate that holds an objective: doubling until it breaks, bisecting, then a longer
// confirming run. Pure logic: it proposes trials and is told their outcomes.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace filo::client {

struct SearchOptions {
  double start_rate = 1;      // requests per second, > 0
  double max_rate = 100'000;  // never tried beyond; >= start_rate
  double min_rate = 0.01;     // given up below; > 0
  double factor = 2;          // growth while exponential, > 1
  double resolution =
      0.05;  // bisecting stops when the bracket is narrower than this share of its upper end, (0, 1)
  int max_trials = 40;  // of all kinds
};

struct Trial {
  double rate = 0;
  bool confirm = false;  // the long run
};

enum class TrialOutcome {
  kHeld,
  kBroken,
  kClientLimited,  // the client could not offer the rate: nothing is known of the server, so rates from here
                   // on are out
};

struct SearchStep {
  Trial trial;
  TrialOutcome outcome;
};

struct SearchResult {
  std::optional<double> rate;   // highest confirmed rate; nullopt: not even the lowest was held
  bool confirmed = false;       // a confirming run held it
  bool client_limited = false;  // the true limit lies above what this client could offer
  bool at_maximum = false;      // max_rate itself was held
  std::string summary;          // one sentence
};

// Thread-compatible.
class SloSearch {
 public:
  // kInvalidArgument naming the option that is out of range.
  static absl::StatusOr<SloSearch> Create(SearchOptions options);

  // The next trial to run; nullopt: finished.
  std::optional<Trial> Next() const;
  // Outcome of the trial that Next() gave.
  void Report(TrialOutcome outcome);

  const std::vector<SearchStep>& Steps() const { return steps_; }
  // Valid once Next() says nullopt.
  SearchResult Result() const;

 private:
  explicit SloSearch(SearchOptions options) : options_(options), current_(Trial{options.start_rate, false}) {}
  void Decide();

  SearchOptions options_;
  std::optional<Trial> current_;
  std::vector<SearchStep> steps_;
  std::optional<double> highest_held_;
  std::optional<double> lowest_broken_;
  std::optional<double> confirmed_;
  bool client_limited_ = false;
};

}  // namespace filo::client
