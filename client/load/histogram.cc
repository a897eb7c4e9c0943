#include "client/load/histogram.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "fmt/format.h"

namespace filo::client {

Histogram::Histogram(int precision) : precision_(std::clamp(precision, kMinPrecision, kMaxPrecision)) {}

std::size_t Histogram::BucketOf(std::int64_t value) const {
  const auto v = static_cast<std::uint64_t>(std::max<std::int64_t>(value, 0));
  const int exponent = std::max(0, static_cast<int>(std::bit_width(v)) - 1 - precision_);
  return (static_cast<std::size_t>(exponent) << precision_) + static_cast<std::size_t>(v >> exponent);
}

std::int64_t Histogram::BucketLow(std::size_t bucket) const {
  const std::size_t half = std::size_t{1} << precision_;
  if (bucket < 2 * half) return static_cast<std::int64_t>(bucket);
  const std::size_t exponent = (bucket >> precision_) - 1;
  const std::size_t sub = bucket - (exponent << precision_);
  return static_cast<std::int64_t>(static_cast<std::uint64_t>(sub) << exponent);
}

std::int64_t Histogram::BucketHigh(std::size_t bucket) const {
  const std::size_t half = std::size_t{1} << precision_;
  const std::size_t exponent = bucket < 2 * half ? 0 : (bucket >> precision_) - 1;
  return BucketLow(bucket) + static_cast<std::int64_t>((std::uint64_t{1} << exponent) - 1);
}

void Histogram::Record(std::int64_t value, std::uint64_t count) {
  if (count == 0) return;
  value = std::max<std::int64_t>(value, 0);
  const std::size_t bucket = BucketOf(value);
  if (bucket >= counts_.size()) {
    // Whole powers of two, so that a slowly rising maximum does not reallocate again and again.
    const std::size_t half = std::size_t{1} << precision_;
    counts_.resize((bucket / half + 1) * half);
  }
  counts_[bucket] += count;
  min_ = count_ == 0 ? value : std::min(min_, value);
  max_ = std::max(max_, value);
  count_ += count;
  sum_ += static_cast<double>(value) * static_cast<double>(count);
}

absl::Status Histogram::Merge(const Histogram& other) {
  if (other.precision_ != precision_) {
    return absl::InvalidArgumentError(fmt::format(
        "histograms of precision {} and {} cannot be merged without loss", precision_, other.precision_));
  }
  if (other.count_ == 0) return absl::OkStatus();
  if (counts_.size() < other.counts_.size()) counts_.resize(other.counts_.size());
  for (std::size_t i = 0; i < other.counts_.size(); ++i) counts_[i] += other.counts_[i];
  min_ = count_ == 0 ? other.min_ : std::min(min_, other.min_);
  max_ = std::max(max_, other.max_);
  count_ += other.count_;
  sum_ += other.sum_;
  return absl::OkStatus();
}

absl::Status Histogram::MergeCoarser(const Histogram& other) {
  if (other.precision_ < precision_) {
    return absl::InvalidArgumentError(fmt::format(
        "a histogram of precision {} cannot be added to one of precision {}", other.precision_, precision_));
  }
  if (other.count_ == 0) return absl::OkStatus();
  const bool was_empty = count_ == 0;
  const std::int64_t low = std::min(min_, other.min_);
  const std::int64_t high = std::max(max_, other.max_);
  const double sum = sum_ + other.sum_;
  other.ForEach([this](std::int64_t, std::int64_t edge, std::uint64_t count) { Record(edge, count); });
  min_ = was_empty ? other.min_ : low;
  max_ = high;
  sum_ = sum;
  return absl::OkStatus();
}

void Histogram::Clear() { *this = Histogram(precision_); }

std::int64_t Histogram::Quantile(double q) const {
  if (count_ == 0) return 0;
  const double wanted = std::ceil(std::clamp(q, 0.0, 1.0) * static_cast<double>(count_));
  const std::uint64_t rank = std::clamp<std::uint64_t>(static_cast<std::uint64_t>(wanted), 1, count_);
  std::uint64_t seen = 0;
  for (std::size_t i = 0; i < counts_.size(); ++i) {
    seen += counts_[i];
    if (seen >= rank) return std::min(BucketHigh(i), max_);
  }
  return max_;
}

double Histogram::SmoothQuantile(double q) const {
  if (count_ == 0) return 0;
  const double rank = std::clamp(q, 0.0, 1.0) * static_cast<double>(count_);
  double seen = 0;
  for (std::size_t i = 0; i < counts_.size(); ++i) {
    const auto here = static_cast<double>(counts_[i]);
    if (here == 0 || seen + here < rank) {
      seen += here;
      continue;
    }
    const auto low = static_cast<double>(BucketLow(i));
    const double width = static_cast<double>(BucketHigh(i)) - low + 1;
    return std::clamp(low + width * (rank - seen) / here, static_cast<double>(min_),
                      static_cast<double>(max_));
  }
  return static_cast<double>(max_);
}

double Histogram::ShareAtOrBelow(std::int64_t value) const {
  if (count_ == 0) return 1;
  const std::size_t end = std::min(counts_.size(), BucketOf(value) + 1);
  std::uint64_t seen = 0;
  for (std::size_t i = 0; i < end; ++i) seen += counts_[i];
  return static_cast<double>(seen) / static_cast<double>(count_);
}

double Histogram::Mean() const { return count_ == 0 ? 0 : sum_ / static_cast<double>(count_); }

double Histogram::StdDeviation() const {
  if (count_ == 0) return 0;
  const double mean = Mean();
  double squares = 0;
  ForEach([&](std::int64_t low, std::int64_t high, std::uint64_t count) {
    const double middle = static_cast<double>(low) + static_cast<double>(high - low) / 2;
    squares += (middle - mean) * (middle - mean) * static_cast<double>(count);
  });
  return std::sqrt(squares / static_cast<double>(count_));
}

double Histogram::RelativeErrorBound() const { return std::ldexp(1.0, -precision_); }

void Histogram::ForEach(const std::function<void(std::int64_t, std::int64_t, std::uint64_t)>& visit) const {
  for (std::size_t i = 0; i < counts_.size(); ++i) {
    if (counts_[i] != 0) visit(BucketLow(i), BucketHigh(i), counts_[i]);
  }
}

}  // namespace filo::client
