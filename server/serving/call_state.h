// Whether anybody still wants the answer of a call. Thread-safe.
#pragma once

#include <atomic>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "server/serving/clock.h"
#include "server/serving/errors.h"

namespace filo::serving {

class CallState {
 public:
  CallState(absl::Time deadline, const Clock* clock) : deadline_(deadline), clock_(clock) {}

  void Cancel() { cancelled_ = true; }
  bool cancelled() const { return cancelled_; }
  absl::Time deadline() const { return deadline_; }

  // Asked between stages; OK while the work is still wanted.
  absl::Status KeepGoing() const {
    if (cancelled_) return WithReason(absl::CancelledError("the caller went away"), "CANCELLED");
    if (clock_->Now() >= deadline_) {
      return WithReason(absl::DeadlineExceededError("the deadline passed while the image was inspected"),
                        "DEADLINE_PASSED");
    }
    return absl::OkStatus();
  }

 private:
  const absl::Time deadline_;
  const Clock* const clock_;
  std::atomic<bool> cancelled_{false};
};

}  // namespace filo::serving
