#include "client/report/compare.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "client/engine/engine.h"
#include "client/report/load_json.h"
#include "client/report/load_report.h"

namespace filo::client {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

nlohmann::json MadeUpRun(double median_ms, double error_share, std::uint64_t seed,
                         const std::string& schedule = "100/s") {
  std::mt19937_64 random(seed);
  std::lognormal_distribution<double> latency(std::log(median_ms * 1e6), 0.3);
  std::bernoulli_distribution fails(error_share);
  RunResult result;
  result.measured = std::chrono::seconds(30);
  for (int i = 0; i < 3000; ++i) {
    Outcome outcome;
    outcome.intended = outcome.started = std::chrono::milliseconds(10 * i);
    outcome.ended = outcome.intended + Nanos(static_cast<std::int64_t>(latency(random)));
    if (fails(random)) outcome.code = grpc::StatusCode::UNAVAILABLE;
    result.stats.RecordStart(outcome.intended, outcome.started);
    result.stats.RecordEnd(outcome);
  }
  result.stats.intervals.Finish(result.measured);
  RunDescription description;
  description.schedule = schedule;
  const auto run =
      LoadJson(result, {}, description, {"hazelnut"}, {{"filo_queue_depth", {{0, 1}, {1, 2}}}}, {}, {});
  return nlohmann::json::parse(run.dump());  // as it would come out of a file
}

ComparedMetric::Finding FindingOf(const Comparison& comparison, const std::string& name) {
  for (const ComparedMetric& metric : comparison.metrics) {
    if (metric.name == name) return metric.finding;
  }
  ADD_FAILURE() << name;
  return ComparedMetric::Finding::kTooFewData;
}

TEST(CompareRuns, SameServerShowsNoDifference) {
  const auto comparison = Compare(MadeUpRun(10, 0, 1), MadeUpRun(10, 0, 2), 0);
  EXPECT_FALSE(comparison.worse) << ComparisonText(comparison);
  EXPECT_EQ(comparison.verdict, "no difference shown");
  EXPECT_TRUE(comparison.warnings.empty());
}

TEST(CompareRuns, SlowerIsWorseFasterIsBetterAndToleranceForgives) {
  const auto slower = Compare(MadeUpRun(10, 0, 1), MadeUpRun(11, 0, 2), 0);
  EXPECT_TRUE(slower.worse);
  EXPECT_EQ(FindingOf(slower, "p50 latency"), ComparedMetric::Finding::kWorse);
  EXPECT_EQ(FindingOf(slower, "throughput"), ComparedMetric::Finding::kNoDifference);
  EXPECT_FALSE(Compare(MadeUpRun(10, 0, 1), MadeUpRun(11, 0, 2), 0.3).worse);
  const auto faster = Compare(MadeUpRun(11, 0, 1), MadeUpRun(10, 0, 2), 0);
  EXPECT_FALSE(faster.worse);
  EXPECT_EQ(FindingOf(faster, "p50 latency"), ComparedMetric::Finding::kBetter);
}

TEST(CompareRuns, MoreErrorsAreWorseAndDifferentSchedulesAreSaid) {
  const auto comparison = Compare(MadeUpRun(10, 0, 1), MadeUpRun(10, 0.1, 2, "200/s"), 0);
  EXPECT_EQ(FindingOf(comparison, "error share"), ComparedMetric::Finding::kWorse);
  EXPECT_THAT(ComparisonText(comparison), HasSubstr("the runs differ in their schedule"));
}

TEST(LoadJsonFile, IntervalsSurviveAndThePageHoldsEverything) {
  const auto run = MadeUpRun(10, 0.02, 1);
  const auto intervals = IntervalsOf(run);
  ASSERT_EQ(intervals.size(), 30u);
  std::uint64_t due = 0;
  for (const Interval& interval : intervals) due += interval.due;
  EXPECT_EQ(due, 3000u);
  const std::string page = LoadReportHtml(run);
  for (const char* part : {"Percentile curve", "Latency over time", "UNAVAILABLE", "filo_queue_depth"}) {
    EXPECT_THAT(page, HasSubstr(part));
  }
  for (const char* part : {"http://", "https://", "nan", "NaN"}) EXPECT_THAT(page, Not(HasSubstr(part)));
  EXPECT_THAT(LoadSummary(run), HasSubstr("from intended start"));
}

}  // namespace
}  // namespace filo::client
