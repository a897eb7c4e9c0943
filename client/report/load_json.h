// A load run as versioned JSON ("filo.load/1"): what `load --out` writes, and what reports and comparisons
// read.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/engine/engine.h"
#include "client/engine/scrape.h"
#include "client/load/slo.h"
#include "nlohmann/json.hpp"

namespace filo::client {

// Everything about a run that is not a measurement.
struct RunDescription {
  std::string server, method, schedule;  // schedule in words
  bool open_loop = true;
  std::string label;  // free, of the user
  Nanos deadline{0};
  std::map<std::string, std::size_t> corpus;  // category -> photographs
};

// Whether the client, not the server, set the limit.
struct Bottleneck {
  bool limited = false;
  std::string reason;  // one sentence; empty if not limited
};
// Open loop: limited if the 99th percentile of the send lag exceeds `max_lag`, or, with max_lag 0, the larger
// of 10 ms and 5 % of the median latency. A closed loop cannot be judged.
Bottleneck FindBottleneck(const RunResult& result, bool open_loop, Nanos max_lag);

nlohmann::json LoadJson(const RunResult& result, const EngineOptions& options,
                        const RunDescription& description, const std::vector<std::string>& category_names,
                        const std::map<std::string, Series>& server_series,
                        const std::vector<ObjectiveResult>& objectives, const Bottleneck& bottleneck);

// Reads a file that LoadJson made. kInvalidArgument if it is not that, or of a newer version.
absl::StatusOr<nlohmann::json> ReadLoadJson(const std::string& path);

// The intervals in it.
std::vector<Interval> IntervalsOf(const nlohmann::json& run);

// The same as text for a terminal.
std::string LoadSummary(const nlohmann::json& run);

}  // namespace filo::client
