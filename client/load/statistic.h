// Statistics of a run that are more than a histogram: per-interval series and honest confidence intervals.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/load/clock.h"
#include "client/load/histogram.h"

namespace filo::client {

// What happened to the requests whose intended start fell into one interval.
struct Interval {
  Nanos start{0};   // since the run's start
  Nanos length{0};  // the last one may be shorter than the others
  std::uint64_t due = 0;
  std::uint64_t not_sent = 0;
  std::uint64_t succeeded = 0;
  std::uint64_t failed = 0;
  Histogram latency{kPrecision};  // from intended start, requests that count as measured; nanoseconds

  static constexpr int kPrecision =
      7;  // error at most 0.8 %: kept per interval, so smaller than the run's own
};

// Requests sorted into intervals of equal length. When there would be more than `max_intervals`, neighbours
// are merged in pairs and the interval doubles, so memory is bounded for any length of run.
// Thread-compatible.
class IntervalSeries {
 public:
  explicit IntervalSeries(Nanos interval = Nanos(std::chrono::seconds(1)), std::size_t max_intervals = 1200);

  // The interval that holds a moment; made if it is not there yet. Negative moments belong to the first.
  Interval& At(Nanos since_start);
  // Adds another series of the same interval (kInvalidArgument if the two cannot be brought to one length).
  absl::Status Merge(const IntervalSeries& other);
  // Cuts the last interval to the length of the run and adds empty ones up to it.
  void Finish(Nanos run_length);

  const std::vector<Interval>& Intervals() const { return intervals_; }
  Nanos IntervalLength() const { return length_; }

 private:
  void Coarsen();

  Nanos length_;
  std::size_t max_intervals_;
  std::vector<Interval> intervals_;
};

// A point estimate with a confidence interval.
struct Estimate {
  double value = 0;
  double low = 0;
  double high = 0;
};

// A statistic of a run that can be computed from any subset of its intervals.
using IntervalStatistic = std::function<double(const std::vector<const Interval*>&)>;

// Latency quantile in seconds of the requests in the intervals.
IntervalStatistic LatencyQuantile(double q);
// Mean latency in seconds.
IntervalStatistic LatencyMean();
// Succeeded requests per second.
IntervalStatistic Throughput();
// Failed and unsent requests as a share of those due.
IntervalStatistic ErrorShare();

struct BootstrapOptions {
  int rounds = 1000;
  double confidence = 0.95;
  // Neighbouring intervals are not independent (a stall spans several), so blocks of them are drawn together;
  // 0 = the cube root of the number of intervals, rounded up.
  std::size_t block = 0;
  std::uint64_t seed = 1;
};

// Moving-block bootstrap of a statistic over a run's intervals. With fewer than 2 intervals low and high are
// NaN.
Estimate Bootstrap(const std::vector<Interval>& run, const IntervalStatistic& statistic,
                   const BootstrapOptions& options = {});

// The same for the difference b - a of two independent runs.
Estimate BootstrapDifference(const std::vector<Interval>& a, const std::vector<Interval>& b,
                             const IntervalStatistic& statistic, const BootstrapOptions& options = {});

}  // namespace filo::client
