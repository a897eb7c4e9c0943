#include "client/report/compare.h"

#include <cmath>

#include "client/load/parse.h"
#include "client/report/load_json.h"
#include "fmt/format.h"

namespace filo::client {
namespace {

struct Metric {
  const char* name;
  const char* unit;
  IntervalStatistic statistic;
  bool more_is_better;
};

std::vector<Metric> Metrics() {
  return {
      {"p50 latency", "s", LatencyQuantile(0.5), false},  {"p90 latency", "s", LatencyQuantile(0.9), false},
      {"p99 latency", "s", LatencyQuantile(0.99), false}, {"mean latency", "s", LatencyMean(), false},
      {"throughput", "/s", Throughput(), true},           {"error share", "share", ErrorShare(), false}};
}

ComparedMetric::Finding Judge(const ComparedMetric& metric, bool more_is_better, double tolerance) {
  using Finding = ComparedMetric::Finding;
  const Estimate& d = metric.difference;
  if (std::isnan(d.low) || std::isnan(d.high)) return Finding::kTooFewData;
  const double margin = std::abs(metric.a) * tolerance;
  if (d.low > margin) return more_is_better ? Finding::kBetter : Finding::kWorse;
  if (d.high < -margin) return more_is_better ? Finding::kWorse : Finding::kBetter;
  return Finding::kNoDifference;
}

const char* Word(ComparedMetric::Finding finding) {
  switch (finding) {
    case ComparedMetric::Finding::kBetter:
      return "better";
    case ComparedMetric::Finding::kWorse:
      return "WORSE";
    case ComparedMetric::Finding::kTooFewData:
      return "too few data";
    default:
      return "no difference shown";
  }
}

std::string Shown(double value, const std::string& unit) {
  if (unit == "s") return FormatDuration(Seconds(value));
  if (unit == "share") return fmt::format("{:.3f} %", value * 100);
  return fmt::format("{:.1f}{}", value, unit);
}

void Warn(const nlohmann::json& a, const nlohmann::json& b, std::vector<std::string>& warnings) {
  for (const char* field : {"schedule", "loop", "corpus", "method"}) {
    if (a.value(field, nlohmann::json()) != b.value(field, nlohmann::json())) {
      warnings.push_back(fmt::format("the runs differ in their {}: {} and {}", field,
                                     a.value(field, nlohmann::json()).dump(),
                                     b.value(field, nlohmann::json()).dump()));
    }
  }
  for (const auto& [name, run] : {std::pair("A", &a), std::pair("B", &b)}) {
    if (run->value("/client/bottleneck"_json_pointer, false)) {
      warnings.push_back(fmt::format("in run {} the client was the bottleneck", name));
    }
  }
}

}  // namespace

Comparison Compare(const nlohmann::json& a, const nlohmann::json& b, double tolerance, double confidence) {
  Comparison comparison;
  Warn(a, b, comparison.warnings);
  const std::vector<Interval> runs[2] = {IntervalsOf(a), IntervalsOf(b)};
  const std::vector<Metric> metrics = Metrics();
  BootstrapOptions options;
  options.rounds = 2000;
  options.confidence = 1 - (1 - confidence) / static_cast<double>(metrics.size());
  int worse = 0, better = 0;
  for (const Metric& metric : metrics) {
    ComparedMetric compared;
    compared.name = metric.name;
    compared.unit = metric.unit;
    compared.a = Bootstrap(runs[0], metric.statistic, {.rounds = 1}).value;
    compared.b = Bootstrap(runs[1], metric.statistic, {.rounds = 1}).value;
    compared.difference = BootstrapDifference(runs[0], runs[1], metric.statistic, options);
    compared.finding = Judge(compared, metric.more_is_better, tolerance);
    worse += compared.finding == ComparedMetric::Finding::kWorse ? 1 : 0;
    better += compared.finding == ComparedMetric::Finding::kBetter ? 1 : 0;
    comparison.metrics.push_back(std::move(compared));
  }
  comparison.worse = worse > 0;
  comparison.verdict = worse > 0 && better > 0
                           ? fmt::format("B is worse in {} and better in {} respects", worse, better)
                       : worse > 0  ? fmt::format("B is worse in {} respects", worse)
                       : better > 0 ? fmt::format("B is better in {} respects", better)
                                    : "no difference shown";
  return comparison;
}

std::string ComparisonText(const Comparison& comparison) {
  std::string text = fmt::format("{:<14}{:>12}{:>12}{:>12}   {:<28}{}\n", "", "A", "B", "B - A",
                                 "confidence interval", "finding");
  for (const ComparedMetric& metric : comparison.metrics) {
    const Estimate& d = metric.difference;
    const std::string interval =
        std::isnan(d.low) ? "unknown"
                          : fmt::format("{} … {}", Shown(d.low, metric.unit), Shown(d.high, metric.unit));
    text += fmt::format("{:<14}{:>12}{:>12}{:>12}   {:<28}{}\n", metric.name, Shown(metric.a, metric.unit),
                        Shown(metric.b, metric.unit), Shown(d.value, metric.unit), interval,
                        Word(metric.finding));
  }
  for (const std::string& warning : comparison.warnings) text += "note: " + warning + "\n";
  return text + comparison.verdict + "\n";
}

nlohmann::json ComparisonJson(const Comparison& comparison) {
  nlohmann::json metrics = nlohmann::json::array();
  for (const ComparedMetric& metric : comparison.metrics) {
    metrics.push_back({{"name", metric.name},
                       {"unit", metric.unit},
                       {"a", metric.a},
                       {"b", metric.b},
                       {"difference", metric.difference.value},
                       {"low", metric.difference.low},
                       {"high", metric.difference.high},
                       {"finding", Word(metric.finding)}});
  }
  return {{"format", "filo.comparison/1"},
          {"metrics", metrics},
          {"warnings", comparison.warnings},
          {"worse", comparison.worse},
          {"verdict", comparison.verdict}};
}

}  // namespace filo::client
