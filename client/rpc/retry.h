// When and how long to wait before a call is tried again. Pure logic.
#pragma once

#include <grpcpp/grpcpp.h>

#include <cstdint>
#include <optional>
#include <random>

#include "client/load/clock.h"

namespace filo::client {

struct RetryOptions {
  int retries = 3;  // attempts after the first
  Nanos initial = std::chrono::milliseconds(200);
  Nanos maximum = std::chrono::seconds(10);
  double factor = 2;
};

// The waits of one call. Thread-compatible.
class RetryPolicy {
 public:
  RetryPolicy(RetryOptions options, std::uint64_t seed) : options_(options), random_(seed) {}

  // How long to wait before the next attempt; nullopt: give up. Only UNAVAILABLE and RESOURCE_EXHAUSTED are
  // tried again, as the server promises to have done nothing. A RetryInfo in the status is obeyed; otherwise
  // the wait is drawn evenly from [0, initial * factor^n], so that clients do not come back in step.
  std::optional<Nanos> NextWait(const grpc::Status& status);

 private:
  RetryOptions options_;
  std::mt19937_64 random_;
  int tried_ = 0;
};

}  // namespace filo::client
