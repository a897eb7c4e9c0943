#include "client/load/statistic.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

#include "fmt/format.h"

namespace filo::client {
namespace {

void AddInterval(Interval& into, const Interval& from) {
  into.due += from.due;
  into.not_sent += from.not_sent;
  into.succeeded += from.succeeded;
  into.failed += from.failed;
  // Both have Interval::kPrecision, so this cannot fail.
  into.latency.Merge(from.latency).IgnoreError();
}

Histogram MergedLatency(const std::vector<const Interval*>& intervals) {
  Histogram merged(Interval::kPrecision);
  for (const Interval* interval : intervals) merged.Merge(interval->latency).IgnoreError();
  return merged;
}

std::vector<const Interval*> Pointers(const std::vector<Interval>& run) {
  std::vector<const Interval*> pointers;
  pointers.reserve(run.size());
  for (const Interval& interval : run) pointers.push_back(&interval);
  return pointers;
}

std::vector<const Interval*> Resample(const std::vector<Interval>& run, std::size_t block,
                                      std::mt19937_64& random) {
  std::vector<const Interval*> drawn;
  drawn.reserve(run.size() + block);
  std::uniform_int_distribution<std::size_t> pick(0, run.size() - 1);
  // Circular blocks: every interval is drawn equally often.
  while (drawn.size() < run.size()) {
    const std::size_t start = pick(random);
    for (std::size_t i = 0; i < block && drawn.size() < run.size(); ++i)
      drawn.push_back(&run[(start + i) % run.size()]);
  }
  return drawn;
}

std::size_t BlockSize(std::size_t count, std::size_t wanted) {
  if (wanted == 0) wanted = static_cast<std::size_t>(std::ceil(std::cbrt(static_cast<double>(count))));
  return std::clamp<std::size_t>(wanted, 1, count);
}

Estimate FromDraws(double value, std::vector<double> draws, double confidence) {
  std::sort(draws.begin(), draws.end());
  const double tail = (1 - confidence) / 2;
  const auto at = [&](double q) {
    const double position = q * static_cast<double>(draws.size() - 1);
    const auto below = static_cast<std::size_t>(position);
    const std::size_t above = std::min(below + 1, draws.size() - 1);
    return draws[below] + (position - static_cast<double>(below)) * (draws[above] - draws[below]);
  };
  return {value, at(tail), at(1 - tail)};
}

}  // namespace

IntervalSeries::IntervalSeries(Nanos interval, std::size_t max_intervals)
    : length_(std::max(interval, Nanos(1))), max_intervals_(std::max<std::size_t>(max_intervals, 2)) {}

void IntervalSeries::Coarsen() {
  std::vector<Interval> merged;
  for (std::size_t i = 0; i < intervals_.size(); i += 2) {
    merged.push_back(std::move(intervals_[i]));
    if (i + 1 < intervals_.size()) AddInterval(merged.back(), intervals_[i + 1]);
    merged.back().length = length_ * 2;
  }
  intervals_ = std::move(merged);
  length_ *= 2;
}

Interval& IntervalSeries::At(Nanos since_start) {
  since_start = std::max(since_start, Nanos(0));
  while (static_cast<std::size_t>(since_start / length_) >= max_intervals_) Coarsen();
  const auto index = static_cast<std::size_t>(since_start / length_);
  while (intervals_.size() <= index) {
    Interval interval;
    interval.start = length_ * static_cast<std::int64_t>(intervals_.size());
    interval.length = length_;
    intervals_.push_back(std::move(interval));
  }
  return intervals_[index];
}

absl::Status IntervalSeries::Merge(const IntervalSeries& other) {
  IntervalSeries copy = other;
  while (length_ < copy.length_) Coarsen();
  while (copy.length_ < length_) copy.Coarsen();
  if (copy.length_ != length_) {
    return absl::InvalidArgumentError(fmt::format("series of {} ns and {} ns intervals cannot be merged",
                                                  length_.count(), other.length_.count()));
  }
  for (const Interval& interval : copy.intervals_) AddInterval(At(interval.start), interval);
  return absl::OkStatus();
}

void IntervalSeries::Finish(Nanos run_length) {
  if (run_length <= Nanos(0)) return;
  At(run_length - Nanos(1));
  for (Interval& interval : intervals_) {
    interval.length = std::min(length_, std::max(run_length - interval.start, Nanos(1)));
  }
}

IntervalStatistic LatencyQuantile(double q) {
  return [q](const std::vector<const Interval*>& intervals) {
    return MergedLatency(intervals).SmoothQuantile(q) / 1e9;
  };
}

IntervalStatistic LatencyMean() {
  return [](const std::vector<const Interval*>& intervals) { return MergedLatency(intervals).Mean() / 1e9; };
}

IntervalStatistic Throughput() {
  return [](const std::vector<const Interval*>& intervals) {
    double succeeded = 0, seconds = 0;
    for (const Interval* interval : intervals) {
      succeeded += static_cast<double>(interval->succeeded);
      seconds += ToSeconds(interval->length);
    }
    return seconds > 0 ? succeeded / seconds : 0;
  };
}

IntervalStatistic ErrorShare() {
  return [](const std::vector<const Interval*>& intervals) {
    double bad = 0, due = 0;
    for (const Interval* interval : intervals) {
      bad += static_cast<double>(interval->failed + interval->not_sent);
      due += static_cast<double>(interval->due);
    }
    return due > 0 ? bad / due : 0;
  };
}

Estimate Bootstrap(const std::vector<Interval>& run, const IntervalStatistic& statistic,
                   const BootstrapOptions& options) {
  const double value = statistic(Pointers(run));
  constexpr double kUnknown = std::numeric_limits<double>::quiet_NaN();
  if (run.size() < 2) return {value, kUnknown, kUnknown};
  std::mt19937_64 random(options.seed);
  const std::size_t block = BlockSize(run.size(), options.block);
  std::vector<double> draws;
  for (int i = 0; i < options.rounds; ++i) draws.push_back(statistic(Resample(run, block, random)));
  return FromDraws(value, std::move(draws), options.confidence);
}

Estimate BootstrapDifference(const std::vector<Interval>& a, const std::vector<Interval>& b,
                             const IntervalStatistic& statistic, const BootstrapOptions& options) {
  const double value = statistic(Pointers(b)) - statistic(Pointers(a));
  constexpr double kUnknown = std::numeric_limits<double>::quiet_NaN();
  if (a.size() < 2 || b.size() < 2) return {value, kUnknown, kUnknown};
  std::mt19937_64 random(options.seed);
  const std::size_t block_a = BlockSize(a.size(), options.block);
  const std::size_t block_b = BlockSize(b.size(), options.block);
  std::vector<double> draws;
  for (int i = 0; i < options.rounds; ++i) {
    draws.push_back(statistic(Resample(b, block_b, random)) - statistic(Resample(a, block_a, random)));
  }
  return FromDraws(value, std::move(draws), options.confidence);
}

}  // namespace filo::client
