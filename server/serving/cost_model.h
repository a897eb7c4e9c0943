// What a request costs on this machine, measured.
#pragma once

#include <cstddef>
#include <vector>

#include "absl/time/time.h"

namespace filo::serving {

// Not thread-safe; its owner locks.
//
// The estimate decides which deadlines are refused, so it must err on the low side and must not lock itself
// in: if it were once too high, everything would be refused and nothing measured again. Hence the lower
// quartile of the last measurements, and only of those that are recent; with none, the cost is taken to be
// zero and nothing is refused.
class CostModel {
 public:
  // `units`: images in the request, at least 1.
  void Observe(absl::Time now, absl::Duration spent, double units);
  // Cost of one image; zero = unknown.
  absl::Duration Estimate(absl::Time now) const;

 private:
  struct Observation {
    absl::Time when;
    absl::Duration spent;
  };
  static constexpr std::size_t kKept = 64;
  std::vector<Observation> observations_;  // a ring
  std::size_t next_ = 0;
};

}  // namespace filo::serving
