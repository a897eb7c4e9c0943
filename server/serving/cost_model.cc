#include "server/serving/cost_model.h"

#include <algorithm>

namespace filo::serving {
namespace {

constexpr absl::Duration kFresh = absl::Seconds(60);

}  // namespace

void CostModel::Observe(absl::Time now, absl::Duration spent, double units) {
  const Observation observation{now, spent / std::max(units, 1.0)};
  if (observations_.size() < kKept) {
    observations_.push_back(observation);
  } else {
    observations_[next_] = observation;
  }
  next_ = (next_ + 1) % kKept;
}

absl::Duration CostModel::Estimate(absl::Time now) const {
  std::vector<absl::Duration> fresh;
  for (const Observation& observation : observations_) {
    if (now - observation.when <= kFresh) fresh.push_back(observation.spent);
  }
  if (fresh.empty()) return absl::ZeroDuration();
  const auto quartile = fresh.begin() + static_cast<std::ptrdiff_t>(fresh.size() / 4);
  std::nth_element(fresh.begin(), quartile, fresh.end());
  return *quartile;
}

}  // namespace filo::serving
