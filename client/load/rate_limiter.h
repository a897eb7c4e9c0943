// When requests are meant to start. A limiter only names moments; it never waits and knows nothing of
// replies, so that a slow server cannot slow the schedule down (no coordinated omission).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/load/clock.h"
#include "client/load/rate_profile.h"

namespace filo::client {

// Thread-compatible.
class RateLimiter {
 public:
  virtual ~RateLimiter() = default;
  // Intended start of the next request since the run's start; never earlier than the one before; nullopt: no
  // more.
  virtual std::optional<Nanos> Next() = 0;
  // Rate wanted at a moment, requests per second, for reports.
  virtual double RateAt(Nanos since_start) const = 0;
};

enum class Arrivals {
  kPoisson,  // independent arrivals: exponential gaps of the profile's rate
  kEven,     // equal gaps
};

// Requests by a profile. The first even request starts when one is due, i.e. 1/rate after the start at
// constant rate. `seed` fixes the Poisson arrivals.
std::unique_ptr<RateLimiter> MakeProfileLimiter(RateProfile profile, Arrivals arrivals, std::uint64_t seed);

// Every `count`-th request of `whole`, beginning with number `index`: with equal limiters, the shares 0 …
// count-1 are together the whole schedule (for several sending threads).
std::unique_ptr<RateLimiter> MakeShareLimiter(std::unique_ptr<RateLimiter> whole, int index, int count);

// `whole` up to (excluding) `end`.
std::unique_ptr<RateLimiter> MakeUntilLimiter(std::unique_ptr<RateLimiter> whole, Nanos end);

// `warm_up` for `length`, then `main` from its beginning.
std::unique_ptr<RateLimiter> MakeWarmUpLimiter(std::unique_ptr<RateLimiter> warm_up, Nanos length,
                                               std::unique_ptr<RateLimiter> main);

// `size` requests at once every `period`, the first at 0. kInvalidArgument unless both are positive.
absl::StatusOr<std::unique_ptr<RateLimiter>> MakeBurstLimiter(int size, Nanos period);

// "SIZE/PERIOD", e.g. "50/5s".
absl::StatusOr<std::unique_ptr<RateLimiter>> ParseBurst(std::string_view text);

// The moments of a recorded trace, divided by `speed` (2 = twice as fast), `repeat` times (0 = for ever).
// kInvalidArgument if empty, not sorted, or speed not positive.
absl::StatusOr<std::unique_ptr<RateLimiter>> MakeReplayLimiter(std::vector<Nanos> moments, double speed,
                                                               int repeat);

// Reads a trace: one arrival a line, seconds since any zero (or the first comma- or blank-separated column of
// it);
// '#' starts a comment. Sorted on return; the first arrival becomes 0.
absl::StatusOr<std::vector<Nanos>> ReadTrace(const std::string& path);

}  // namespace filo::client
