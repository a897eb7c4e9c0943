#include "client/load/rate_limiter.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <random>
#include <utility>

#include "client/load/parse.h"
#include "fmt/format.h"
#include "server/base/status.h"

namespace filo::client {
namespace {

class ProfileLimiter final : public RateLimiter {
 public:
  ProfileLimiter(RateProfile profile, Arrivals arrivals, std::uint64_t seed)
      : profile_(std::move(profile)), arrivals_(arrivals), random_(seed) {}

  std::optional<Nanos> Next() override {
    // A Poisson process of changing rate is a unit-rate one seen through the profile's expected count.
    due_ += arrivals_ == Arrivals::kEven ? 1.0 : gap_(random_);
    return profile_.WhenExpected(due_);
  }

  double RateAt(Nanos since_start) const override { return profile_.RateAt(since_start); }

 private:
  RateProfile profile_;
  Arrivals arrivals_;
  std::mt19937_64 random_;
  std::exponential_distribution<double> gap_{1.0};
  double due_ = 0;
};

class ShareLimiter final : public RateLimiter {
 public:
  ShareLimiter(std::unique_ptr<RateLimiter> whole, int index, int count)
      : whole_(std::move(whole)), skip_(index), count_(count) {}

  std::optional<Nanos> Next() override {
    for (; skip_ > 0; --skip_) {
      if (!whole_->Next().has_value()) return std::nullopt;
    }
    skip_ = count_ - 1;
    return whole_->Next();
  }
  double RateAt(Nanos since_start) const override { return whole_->RateAt(since_start) / count_; }

 private:
  std::unique_ptr<RateLimiter> whole_;
  int skip_;
  int count_;
};

class UntilLimiter final : public RateLimiter {
 public:
  UntilLimiter(std::unique_ptr<RateLimiter> whole, Nanos end) : whole_(std::move(whole)), end_(end) {}

  std::optional<Nanos> Next() override {
    const std::optional<Nanos> next = whole_->Next();
    return next.has_value() && *next < end_ ? next : std::nullopt;
  }
  double RateAt(Nanos since_start) const override {
    return since_start < end_ ? whole_->RateAt(since_start) : 0;
  }

 private:
  std::unique_ptr<RateLimiter> whole_;
  Nanos end_;
};

class WarmUpLimiter final : public RateLimiter {
 public:
  WarmUpLimiter(std::unique_ptr<RateLimiter> warm_up, Nanos length, std::unique_ptr<RateLimiter> main)
      : warm_up_(std::move(warm_up)), length_(length), main_(std::move(main)) {}

  std::optional<Nanos> Next() override {
    if (warming_) {
      const std::optional<Nanos> next = warm_up_->Next();
      if (next.has_value() && *next < length_) return next;
      warming_ = false;
    }
    const std::optional<Nanos> next = main_->Next();
    if (!next.has_value()) return std::nullopt;
    return *next + length_;
  }
  double RateAt(Nanos since_start) const override {
    return since_start < length_ ? warm_up_->RateAt(since_start) : main_->RateAt(since_start - length_);
  }

 private:
  std::unique_ptr<RateLimiter> warm_up_;
  Nanos length_;
  std::unique_ptr<RateLimiter> main_;
  bool warming_ = true;
};

class BurstLimiter final : public RateLimiter {
 public:
  BurstLimiter(int size, Nanos period) : size_(size), period_(period) {}

  std::optional<Nanos> Next() override { return period_ * (given_++ / size_); }
  double RateAt(Nanos) const override { return size_ / ToSeconds(period_); }

 private:
  std::int64_t size_;
  Nanos period_;
  std::int64_t given_ = 0;
};

class ReplayLimiter final : public RateLimiter {
 public:
  ReplayLimiter(std::vector<Nanos> moments, int repeat) : moments_(std::move(moments)), repeat_(repeat) {
    const Nanos span = moments_.back() - moments_.front();
    const auto gaps = static_cast<std::int64_t>(moments_.size()) - 1;
    // Between two rounds lies the trace's mean gap, so that repeating does not change the rate.
    period_ = gaps > 0 && span > Nanos(0) ? span + span / gaps : Nanos(std::chrono::seconds(1));
  }

  std::optional<Nanos> Next() override {
    if (at_ == moments_.size()) {
      at_ = 0;
      ++round_;
    }
    if (repeat_ != 0 && round_ >= repeat_) return std::nullopt;
    return moments_[at_++] - moments_.front() + period_ * round_;
  }

  double RateAt(Nanos) const override { return static_cast<double>(moments_.size()) / ToSeconds(period_); }

 private:
  std::vector<Nanos> moments_;
  int repeat_;
  Nanos period_{0};
  std::size_t at_ = 0;
  std::int64_t round_ = 0;
};

}  // namespace

std::unique_ptr<RateLimiter> MakeProfileLimiter(RateProfile profile, Arrivals arrivals, std::uint64_t seed) {
  return std::make_unique<ProfileLimiter>(std::move(profile), arrivals, seed);
}

std::unique_ptr<RateLimiter> MakeShareLimiter(std::unique_ptr<RateLimiter> whole, int index, int count) {
  return std::make_unique<ShareLimiter>(std::move(whole), index, std::max(count, 1));
}

std::unique_ptr<RateLimiter> MakeUntilLimiter(std::unique_ptr<RateLimiter> whole, Nanos end) {
  return std::make_unique<UntilLimiter>(std::move(whole), end);
}

std::unique_ptr<RateLimiter> MakeWarmUpLimiter(std::unique_ptr<RateLimiter> warm_up, Nanos length,
                                               std::unique_ptr<RateLimiter> main) {
  return std::make_unique<WarmUpLimiter>(std::move(warm_up), length, std::move(main));
}

absl::StatusOr<std::unique_ptr<RateLimiter>> MakeBurstLimiter(int size, Nanos period) {
  if (size <= 0) return FieldError("--burst", fmt::format("{}", size), "send at least one request");
  if (period <= Nanos(0)) return FieldError("--burst", "0 s", "have a period longer than 0");
  return std::make_unique<BurstLimiter>(size, period);
}

absl::StatusOr<std::unique_ptr<RateLimiter>> ParseBurst(std::string_view text) {
  const std::size_t slash = text.find('/');
  constexpr std::string_view kExpected = "look like SIZE/PERIOD, e.g. 50/5s";
  if (slash == std::string_view::npos) return FieldError("--burst", text, kExpected);
  FILO_ASSIGN_OR_RETURN(const double size, ParseNumber("--burst", text.substr(0, slash)));
  FILO_ASSIGN_OR_RETURN(const Nanos period, ParseDuration("--burst", text.substr(slash + 1)));
  if (size != std::floor(size) || size > 1e6)
    return FieldError("--burst", text, "have a whole size up to 1000000");
  return MakeBurstLimiter(static_cast<int>(size), period);
}

absl::StatusOr<std::unique_ptr<RateLimiter>> MakeReplayLimiter(std::vector<Nanos> moments, double speed,
                                                               int repeat) {
  if (moments.empty()) return FieldError("--replay", "no arrivals", "hold at least one arrival");
  if (!std::is_sorted(moments.begin(), moments.end()))
    return FieldError("--replay", "unsorted", "be sorted by time");
  if (!(speed > 0)) return FieldError("--replay-speed", fmt::format("{}", speed), "be above 0");
  for (Nanos& moment : moments) moment = Nanos(std::llround(static_cast<double>(moment.count()) / speed));
  return std::make_unique<ReplayLimiter>(std::move(moments), repeat);
}

absl::StatusOr<std::vector<Nanos>> ReadTrace(const std::string& path) {
  std::ifstream file(path);
  if (!file) return absl::NotFoundError(fmt::format("--replay: cannot read {}", path));
  std::vector<Nanos> moments;
  std::string line;
  for (int number = 1; std::getline(file, line); ++number) {
    line.resize(std::min(line.size(), line.find('#')));
    const std::size_t begin = line.find_first_not_of(" \t\r");
    if (begin == std::string::npos) continue;
    const std::string_view column = std::string_view(line).substr(begin);
    const std::string_view first = column.substr(0, column.find_first_of(", \t\r;"));
    auto seconds = ParseNumber(fmt::format("{}:{}", path, number), first);
    if (!seconds.ok()) return seconds.status();
    moments.push_back(Seconds(*seconds));
  }
  if (moments.empty()) return absl::InvalidArgumentError(fmt::format("--replay: {} holds no arrivals", path));
  std::sort(moments.begin(), moments.end());
  const Nanos first = moments.front();
  for (Nanos& moment : moments) moment -= first;
  return moments;
}

}  // namespace filo::client
