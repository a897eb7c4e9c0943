#include "client/load/histogram.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

namespace filo::client {
namespace {

// The definition that Quantile() promises, on the sorted values.
std::int64_t ExactQuantile(const std::vector<std::int64_t>& sorted, double q) {
  const auto rank = static_cast<std::int64_t>(std::ceil(q * static_cast<double>(sorted.size())));
  return sorted[static_cast<std::size_t>(std::max<std::int64_t>(rank, 1) - 1)];
}

std::vector<std::int64_t> LogNormalNanos(std::size_t count, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::lognormal_distribution<double> latency(std::log(5e6), 1.5);
  std::vector<std::int64_t> values(count);
  for (auto& value : values) value = static_cast<std::int64_t>(latency(random));
  return values;
}

class HistogramPrecision : public ::testing::TestWithParam<int> {};

TEST_P(HistogramPrecision, QuantilesStayWithinTheStatedBoundOfTheExactOnes) {
  auto values = LogNormalNanos(50'000, 7);
  values.push_back(0);
  values.push_back(6'000'000'000);
  Histogram histogram(GetParam());
  for (const auto value : values) histogram.Record(value);
  std::sort(values.begin(), values.end());
  for (const double q : {0.0, 0.001, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 0.999, 0.9999, 1.0}) {
    const auto exact = static_cast<double>(ExactQuantile(values, q));
    const auto reported = static_cast<double>(histogram.Quantile(q));
    EXPECT_GE(reported, exact) << q;
    EXPECT_LE(reported, exact * (1 + histogram.RelativeErrorBound())) << q;
    EXPECT_NEAR(histogram.SmoothQuantile(q), exact, exact * histogram.RelativeErrorBound() + 1) << q;
  }
  EXPECT_EQ(histogram.Min(), values.front());
  EXPECT_EQ(histogram.Max(), values.back());
  EXPECT_EQ(histogram.Count(), values.size());
}
INSTANTIATE_TEST_SUITE_P(All, HistogramPrecision, ::testing::Values(1, 5, 7, 10, 13));

TEST(Histogram, BucketsTileTheIntegersWithoutGapOrOverlap) {
  const Histogram histogram(4);
  std::int64_t expected_low = 0;
  for (std::size_t bucket = 0; bucket < histogram.BucketOf(INT64_MAX); ++bucket) {
    ASSERT_EQ(histogram.BucketLow(bucket), expected_low);
    ASSERT_EQ(histogram.BucketOf(histogram.BucketLow(bucket)), bucket);
    ASSERT_EQ(histogram.BucketOf(histogram.BucketHigh(bucket)), bucket);
    expected_low = histogram.BucketHigh(bucket) + 1;
  }
  EXPECT_EQ(histogram.BucketHigh(histogram.BucketOf(INT64_MAX)), INT64_MAX);
}

TEST(Histogram, MergingPartsEqualsRecordingAll) {
  const auto values = LogNormalNanos(9'000, 3);
  Histogram all;
  std::vector<Histogram> parts(4);
  for (std::size_t i = 0; i < values.size(); ++i) {
    all.Record(values[i]);
    parts[i % parts.size()].Record(values[i]);
  }
  Histogram merged;
  for (const Histogram& part : parts) ASSERT_TRUE(merged.Merge(part).ok());
  EXPECT_EQ(merged.Count(), all.Count());
  EXPECT_EQ(merged.Min(), all.Min());
  EXPECT_EQ(merged.Max(), all.Max());
  EXPECT_DOUBLE_EQ(merged.Mean(), all.Mean());
  for (double q = 0; q <= 1; q += 0.01) EXPECT_EQ(merged.Quantile(q), all.Quantile(q));
}

TEST(Histogram, RefusesToMergeOtherPrecisionsButAddsFinerOnes) {
  Histogram coarse(5), fine(10);
  fine.Record(1'000'003);
  EXPECT_EQ(coarse.Merge(fine).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(fine.MergeCoarser(coarse).code(), absl::StatusCode::kInvalidArgument);
  ASSERT_TRUE(coarse.MergeCoarser(fine).ok());
  EXPECT_EQ(coarse.Count(), 1u);
  EXPECT_EQ(coarse.Min(), 1'000'003);
  EXPECT_EQ(coarse.Max(), 1'000'003);
  EXPECT_EQ(coarse.Quantile(0.5), 1'000'003);
}

TEST(Histogram, NegativeCountsAsZeroAndEmptyIsHarmless) {
  Histogram histogram;
  EXPECT_EQ(histogram.Quantile(0.99), 0);
  EXPECT_EQ(histogram.Mean(), 0);
  EXPECT_EQ(histogram.ShareAtOrBelow(5), 1);
  histogram.Record(-5);
  EXPECT_EQ(histogram.Quantile(1), 0);
  histogram.Record(INT64_MAX);
  EXPECT_EQ(histogram.Quantile(1), INT64_MAX);
  EXPECT_DOUBLE_EQ(histogram.ShareAtOrBelow(1000), 0.5);
  histogram.Clear();
  EXPECT_EQ(histogram.Count(), 0u);
}

TEST(Histogram, MeanAndDeviationAreThoseOfTheValues) {
  Histogram histogram;
  histogram.Record(100, 3);
  histogram.Record(300, 1);
  EXPECT_DOUBLE_EQ(histogram.Mean(), 150);
  EXPECT_NEAR(histogram.StdDeviation(), std::sqrt(7500), 1e-9);
}

}  // namespace
}  // namespace filo::client
