// Log-linear (HDR) histogram of non-negative integers, here durations in nanoseconds.
//
// Bucket layout: values below 2^(p+1) have a bucket each; above, every power of two is cut into 2^p buckets
// of equal width. A bucket's width is therefore at most 2^-p of any value in it. Error bound: Quantile()
// returns the upper edge of the bucket that holds the exact quantile (never above the largest recorded
// value), so  exact <= reported <= exact * (1 + 2^-p). Count, min, max and sum are exact. With p = 10 the
// buckets are those of HdrHistogram at three significant digits (error at most 0.098 %).
//
// Thread-compatible. One histogram per thread or channel, merged afterwards: merging loses nothing.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "absl/status/status.h"

namespace filo::client {

class Histogram {
 public:
  static constexpr int kDefaultPrecision = 10;
  static constexpr int kMinPrecision = 1;
  static constexpr int kMaxPrecision = 16;

  // `precision` is p above; clamped to [1, 16]. Memory grows with the largest value: (log2(max) - p) * 2^p
  // counters.
  explicit Histogram(int precision = kDefaultPrecision);

  // Negative values count as 0.
  void Record(std::int64_t value, std::uint64_t count = 1);

  // Adds the other's counts. kInvalidArgument if the precisions differ.
  absl::Status Merge(const Histogram& other);

  // Adds the other's counts to the buckets that hold its buckets' upper edges; the other must be at least as
  // precise (kInvalidArgument otherwise). The result's error bound is this histogram's own, counted from
  // those edges.
  absl::Status MergeCoarser(const Histogram& other);

  void Clear();

  // Value at or below which at least ceil(q * Count()) values lie; q in [0, 1] (clamped). 0 if empty.
  std::int64_t Quantile(double q) const;
  // The same, interpolated inside the bucket: off by at most a bucket's width to either side, but without
  // steps, so that differences smaller than a bucket can be told from none.
  double SmoothQuantile(double q) const;
  // Share of values whose bucket lies at or below `value`'s bucket, in [0, 1]; 1 if empty.
  double ShareAtOrBelow(std::int64_t value) const;

  std::uint64_t Count() const { return count_; }
  std::int64_t Min() const { return count_ == 0 ? 0 : min_; }
  std::int64_t Max() const { return max_; }
  double Sum() const { return sum_; }
  double Mean() const;
  // From bucket midpoints, as HdrHistogram does.
  double StdDeviation() const;

  int Precision() const { return precision_; }
  // 2^-p.
  double RelativeErrorBound() const;

  // Non-empty buckets in rising order.
  void ForEach(
      const std::function<void(std::int64_t low, std::int64_t high, std::uint64_t count)>& visit) const;

  std::size_t BucketOf(std::int64_t value) const;
  std::int64_t BucketLow(std::size_t bucket) const;
  std::int64_t BucketHigh(std::size_t bucket) const;

 private:
  int precision_;
  std::vector<std::uint64_t> counts_;
  std::uint64_t count_ = 0;
  std::int64_t min_ = 0;
  std::int64_t max_ = 0;
  double sum_ = 0;
};

}  // namespace filo::client
