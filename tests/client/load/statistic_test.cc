#include "client/load/statistic.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

namespace filo::client {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

std::vector<Interval> MadeUpRun(double median_ms, std::uint64_t seed, int seconds_long = 30) {
  std::mt19937_64 random(seed);
  std::lognormal_distribution<double> latency(std::log(median_ms * 1e6), 0.3);
  IntervalSeries series;
  for (int second = 0; second < seconds_long; ++second) {
    Interval& interval = series.At(seconds(second));
    for (int i = 0; i < 100; ++i) interval.latency.Record(static_cast<std::int64_t>(latency(random)));
    interval.due = interval.succeeded = 100;
  }
  return series.Intervals();
}

TEST(IntervalSeries, SortsByMomentAndFillsGaps) {
  IntervalSeries series;
  series.At(milliseconds(2500)).due = 7;
  series.At(Nanos(-5)).due = 1;
  ASSERT_EQ(series.Intervals().size(), 3u);
  EXPECT_EQ(series.Intervals()[0].due, 1u);
  EXPECT_EQ(series.Intervals()[1].due, 0u);
  EXPECT_EQ(series.Intervals()[2].due, 7u);
  series.Finish(milliseconds(3250));
  ASSERT_EQ(series.Intervals().size(), 4u);
  EXPECT_EQ(series.Intervals()[3].length, milliseconds(250));
}

TEST(IntervalSeries, StaysBoundedAndLosesNothing) {
  IntervalSeries series(seconds(1), 10);
  for (int second = 0; second < 100; ++second) {
    Interval& interval = series.At(seconds(second));
    ++interval.due;
    interval.latency.Record(1000);
  }
  EXPECT_LE(series.Intervals().size(), 10u);
  EXPECT_EQ(series.IntervalLength(), seconds(16));
  std::uint64_t due = 0, recorded = 0;
  for (const Interval& interval : series.Intervals()) {
    due += interval.due;
    recorded += interval.latency.Count();
  }
  EXPECT_EQ(due, 100u);
  EXPECT_EQ(recorded, 100u);
}

TEST(IntervalSeries, MergesSeriesOfDifferentLengths) {
  IntervalSeries fine(seconds(1), 100), coarse(seconds(1), 4);
  for (int second = 0; second < 16; ++second) {
    ++fine.At(seconds(second)).due;
    ++coarse.At(seconds(second)).due;
  }
  ASSERT_TRUE(fine.Merge(coarse).ok());
  EXPECT_EQ(fine.IntervalLength(), seconds(4));
  for (const Interval& interval : fine.Intervals()) EXPECT_EQ(interval.due, 8u);
  EXPECT_FALSE(fine.Merge(IntervalSeries(milliseconds(300))).ok());
}

TEST(Bootstrap, IntervalCoversTheTrueMedianAboutAsOftenAsItSays) {
  int covered = 0;
  constexpr int kRuns = 60;
  for (int run = 0; run < kRuns; ++run) {
    const auto made = MadeUpRun(10, static_cast<std::uint64_t>(run) + 1);
    const Estimate estimate = Bootstrap(made, LatencyQuantile(0.5), {.rounds = 200});
    EXPECT_LE(estimate.low, estimate.high);
    if (estimate.low <= 0.010 && estimate.high >= 0.010) ++covered;
  }
  EXPECT_GE(covered, kRuns * 85 / 100);
}

TEST(Bootstrap, TellsAChangeFromNoChange) {
  constexpr int kPairs = 40;
  int false_alarms = 0;
  for (std::uint64_t pair = 1; pair <= kPairs; ++pair) {
    const auto a = MadeUpRun(10, 2 * pair), b = MadeUpRun(10, 2 * pair + 1);
    const Estimate none = BootstrapDifference(a, b, LatencyQuantile(0.5), {.rounds = 200});
    if (none.low > 0 || none.high < 0) ++false_alarms;
  }
  EXPECT_LE(false_alarms, kPairs * 20 / 100);
  const Estimate worse =
      BootstrapDifference(MadeUpRun(10, 1), MadeUpRun(11, 3), LatencyQuantile(0.5), {.rounds = 300});
  EXPECT_GT(worse.low, 0.0);
  EXPECT_NEAR(worse.value, 0.001, 0.0004);
}

TEST(Bootstrap, OneIntervalKnowsNoUncertainty) {
  const auto run = MadeUpRun(10, 1, 1);
  EXPECT_TRUE(std::isnan(Bootstrap(run, LatencyMean()).low));
  EXPECT_TRUE(std::isnan(BootstrapDifference(run, run, LatencyMean()).high));
}

TEST(IntervalStatistics, CountRatesAndErrors) {
  IntervalSeries series;
  series.At(Nanos(0)) = Interval{Nanos(0), seconds(1), 10, 1, 8, 1, Histogram(Interval::kPrecision)};
  series.At(seconds(1)) = Interval{seconds(1), seconds(1), 10, 0, 10, 0, Histogram(Interval::kPrecision)};
  const auto run = series.Intervals();
  EXPECT_DOUBLE_EQ(Bootstrap(run, Throughput()).value, 9);
  EXPECT_DOUBLE_EQ(Bootstrap(run, ErrorShare()).value, 0.1);
}

}  // namespace
}  // namespace filo::client
