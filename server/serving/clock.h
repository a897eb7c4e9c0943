// Where the time comes from, so that a test can own it.
#pragma once

#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace filo::serving {

// Thread-safe.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual absl::Time Now() const = 0;
};

class RealClock : public Clock {
 public:
  absl::Time Now() const override { return absl::Now(); }
};

}  // namespace filo::serving
