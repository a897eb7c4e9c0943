// Time as the load generator sees it, so that tests can make it up.
#pragma once

#include <chrono>
#include <cstdint>

namespace filo::client {

using Nanos = std::chrono::nanoseconds;

inline constexpr Nanos Seconds(double seconds) { return Nanos(static_cast<std::int64_t>(seconds * 1e9)); }
inline constexpr double ToSeconds(Nanos nanos) { return static_cast<double>(nanos.count()) / 1e9; }
inline constexpr double ToMillis(Nanos nanos) { return static_cast<double>(nanos.count()) / 1e6; }

// Monotonic. Thread-safe.
class Clock {
 public:
  virtual ~Clock() = default;
  // Since an arbitrary fixed point.
  virtual Nanos Now() const = 0;
  virtual void SleepUntil(Nanos when) = 0;
};

// std::chrono::steady_clock.
class SteadyClock final : public Clock {
 public:
  Nanos Now() const override;
  void SleepUntil(Nanos when) override;
};

// For tests: time stands still unless moved. SleepUntil moves it.
class FakeClock final : public Clock {
 public:
  Nanos Now() const override { return now_; }
  void SleepUntil(Nanos when) override { now_ = when > now_ ? when : now_; }
  void Advance(Nanos by) { now_ += by; }

 private:
  Nanos now_{0};
};

}  // namespace filo::client
