// Decides which requests start now. Pure bookkeeping: the caller tells it the time and what was answered.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>

#include "client/load/clock.h"
#include "client/load/rate_limiter.h"

namespace filo::client {

// Counters of a sequencer. due = started + not_sent.
struct SequencerCounts {
  std::uint64_t due = 0;      // requests whose intended start has come
  std::uint64_t started = 0;  // handed to the caller
  std::uint64_t not_sent =
      0;  // dropped because the in-flight cap was reached: never queued, never sent later
};

// Thread-compatible. Times are since the run's start.
class Sequencer {
 public:
  virtual ~Sequencer() = default;
  // The intended start of one request to be started at `now`, or nullopt if there is none right now. Call
  // again until it says nullopt.
  virtual std::optional<Nanos> Take(Nanos now) = 0;
  // A started request has ended (answered, failed, cancelled).
  virtual void Done(Nanos now) = 0;
  // When Take() may have something again without any Done(); nullopt: only Done() can help, or it is
  // Finished().
  virtual std::optional<Nanos> NextDue() = 0;
  // Nothing will ever start again.
  virtual bool Finished() const = 0;
  virtual SequencerCounts Counts() const = 0;
  virtual int InFlight() const = 0;
};

// Open loop: starts follow the limiter whatever the answers do. At most `cap` requests are in flight; a
// request due while the cap is reached is counted as not sent, and told to `on_not_sent` with its intended
// start.
std::unique_ptr<Sequencer> MakeOpenLoop(std::unique_ptr<RateLimiter> limiter, int cap,
                                        std::function<void(Nanos)> on_not_sent = {});

// Closed loop: `concurrency` requests are always in flight; each next one starts `think` after an answer.
// Intended and actual start coincide, so the latencies leave out what an open loop would have shown.
std::unique_ptr<Sequencer> MakeClosedLoop(int concurrency, Nanos think = Nanos(0));

}  // namespace filo::client
