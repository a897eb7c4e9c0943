#include "client/load/slo.h"

#include <algorithm>

#include "client/load/parse.h"
#include "fmt/format.h"
#include "server/base/status.h"

namespace filo::client {
namespace {

constexpr std::string_view kFlag = "--slo";
constexpr std::string_view kExpected = "be a list such as p99<200ms,errors<0.1%,mean<50ms,max<2s,rate>100";

absl::StatusOr<Objective> ParseOne(std::string_view part) {
  Objective objective;
  objective.text = std::string(part);
  const std::size_t at = part.find_first_of("<>");
  if (at == std::string_view::npos) return FieldError(kFlag, part, kExpected);
  const std::string_view name = part.substr(0, at);
  const std::string_view limit = part.substr(at + 1);
  if ((part[at] == '>') != (name == "rate"))
    return FieldError(kFlag, part, "limit rate with > and all others with <");
  if (name == "rate") {
    objective.kind = Objective::Kind::kThroughput;
    FILO_ASSIGN_OR_RETURN(objective.limit, ParseNumber(kFlag, limit));
    return objective;
  }
  if (name == "errors") {
    objective.kind = Objective::Kind::kErrorShare;
    FILO_ASSIGN_OR_RETURN(objective.limit, ParseShare(kFlag, limit));
    return objective;
  }
  if (name == "mean") {
    objective.kind = Objective::Kind::kLatencyMean;
  } else if (name == "max") {
    objective.kind = Objective::Kind::kLatencyMax;
  } else if (name.size() > 1 && name[0] == 'p') {
    FILO_ASSIGN_OR_RETURN(const double percentile, ParseNumber(kFlag, name.substr(1)));
    if (percentile < 0 || percentile > 100)
      return FieldError(kFlag, part, "name a percentile from p0 to p100");
    objective.quantile = percentile / 100;
  } else {
    return FieldError(kFlag, part, kExpected);
  }
  FILO_ASSIGN_OR_RETURN(const Nanos duration, ParseDuration(kFlag, limit));
  objective.limit = ToSeconds(duration);
  return objective;
}

std::string Shown(Objective::Kind kind, double value) {
  switch (kind) {
    case Objective::Kind::kErrorShare:
      return fmt::format("{:.3f} %", value * 100);
    case Objective::Kind::kThroughput:
      return fmt::format("{:.1f}/s", value);
    default:
      return FormatDuration(Seconds(value));
  }
}

}  // namespace

absl::StatusOr<std::vector<Objective>> ParseObjectives(std::string_view text) {
  std::vector<Objective> objectives;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find(',', begin), text.size());
    FILO_ASSIGN_OR_RETURN(Objective objective, ParseOne(text.substr(begin, end - begin)));
    objectives.push_back(std::move(objective));
    begin = end + 1;
  }
  return objectives;
}

std::vector<ObjectiveResult> Evaluate(const std::vector<Objective>& objectives, const ObjectiveInput& input) {
  std::vector<ObjectiveResult> results;
  for (const Objective& objective : objectives) {
    ObjectiveResult result{objective, 0, false};
    const Histogram& latency = *input.latency;
    switch (objective.kind) {
      case Objective::Kind::kErrorShare:
        result.measured = input.error_share;
        result.held = result.measured < objective.limit || result.measured == 0;
        break;
      case Objective::Kind::kThroughput:
        result.measured = input.throughput;
        result.held = result.measured > objective.limit;
        break;
      case Objective::Kind::kLatencyQuantile:
        result.measured = static_cast<double>(latency.Quantile(objective.quantile)) / 1e9;
        break;
      case Objective::Kind::kLatencyMean:
        result.measured = latency.Mean() / 1e9;
        break;
      case Objective::Kind::kLatencyMax:
        result.measured = static_cast<double>(latency.Max()) / 1e9;
        break;
    }
    const bool is_latency =
        objective.kind != Objective::Kind::kErrorShare && objective.kind != Objective::Kind::kThroughput;
    if (is_latency) result.held = latency.Count() > 0 && result.measured < objective.limit;
    results.push_back(std::move(result));
  }
  return results;
}

bool AllHeld(const std::vector<ObjectiveResult>& results) {
  return std::all_of(results.begin(), results.end(),
                     [](const ObjectiveResult& result) { return result.held; });
}

std::string Describe(const ObjectiveResult& result) {
  return fmt::format("{}: measured {}, {}", result.objective.text,
                     Shown(result.objective.kind, result.measured), result.held ? "held" : "NOT HELD");
}

}  // namespace filo::client
