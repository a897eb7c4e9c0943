// Service-level objectives: limits that a run must hold.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "client/load/clock.h"
#include "client/load/histogram.h"

namespace filo::client {

// One limit. `text` is as the user wrote it.
struct Objective {
  enum class Kind {
    kLatencyQuantile,  // `quantile` of the latency from intended start must be below `limit` seconds
    kLatencyMean,
    kLatencyMax,
    kErrorShare,  // failed, wrong and unsent requests / requests due must be below `limit`
    kThroughput,  // succeeded requests per second must be above `limit`
  };
  Kind kind = Kind::kLatencyQuantile;
  double quantile = 0;
  double limit = 0;
  std::string text;
};

// "p99<200ms,errors<0.1%,mean<50ms,max<2s,rate>100". kInvalidArgument naming the part that is wrong.
absl::StatusOr<std::vector<Objective>> ParseObjectives(std::string_view text);

// What objectives are held against.
struct ObjectiveInput {
  const Histogram* latency = nullptr;  // nanoseconds, from intended start
  double error_share = 0;
  double throughput = 0;
};

struct ObjectiveResult {
  Objective objective;
  double measured = 0;  // seconds, share, or requests per second
  bool held = false;
};

// A latency objective of a run without a single measured request is not held.
std::vector<ObjectiveResult> Evaluate(const std::vector<Objective>& objectives, const ObjectiveInput& input);

// All held; true for none.
bool AllHeld(const std::vector<ObjectiveResult>& results);

// "p99 = 231 ms, limit 200 ms: NOT HELD".
std::string Describe(const ObjectiveResult& result);

}  // namespace filo::client
