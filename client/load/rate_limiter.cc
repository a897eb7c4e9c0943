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
  ProfileLimiter(RateProfile profile, Arrivals arrivals, std::uint64_t seed, int share_index, int share_count)
      : profile_(std::move(profile)),
        arrivals_(arrivals),
        random_(seed),
        skip_(share_index),
        share_count_(share_count) {}

  std::optional<Nanos> Next() override {
    // A Poisson process of changing rate is a unit-rate one seen through the profile's expected count.
    for (int i = 0; i <= skip_; ++i) due_ += arrivals_ == Arrivals::kEven ? 1.0 : gap_(random_);
    skip_ = share_count_ - 1;
    return profile_.WhenExpected(due_);
  }

  double RateAt(Nanos since_start) const override { return profile_.RateAt(since_start) / share_count_; }

 private:
  RateProfile profile_;
  Arrivals arrivals_;
  std::mt19937_64 random_;
  std::exponential_distribution<double> gap_{1.0};
  double due_ = 0;
  int skip_;
  int share_count_;
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

std::unique_ptr<RateLimiter> MakeProfileLimiter(RateProfile profile, Arrivals arrivals, std::uint64_t seed,
                                                int share_index, int share_count) {
  return std::make_unique<ProfileLimiter>(std::move(profile), arrivals, seed, share_index,
                                          std::max(share_count, 1));
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
