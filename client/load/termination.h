// When a run ends.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "client/load/clock.h"

namespace filo::client {

// What a predicate may look at.
struct Progress {
  Nanos since_start{0};
  std::uint64_t started = 0;
  std::uint64_t answered = 0;  // ended in any way
  std::uint64_t failed = 0;    // ended with an error or a wrong answer
};

enum class Verdict {
  kContinue,
  kStop,  // the run is complete
  kFail,  // the run makes no sense any more; Reason() says why
};

// Thread-compatible.
class TerminationPredicate {
 public:
  virtual ~TerminationPredicate() = default;
  virtual Verdict Evaluate(const Progress& progress) = 0;
  // One sentence for people, valid after a verdict other than kContinue.
  virtual std::string Reason() const = 0;
};

// Stops after a time.
std::unique_ptr<TerminationPredicate> StopAfter(Nanos duration);
// Stops after a number of started requests.
std::unique_ptr<TerminationPredicate> StopAfterRequests(std::uint64_t count);
// Fails once more than `share` of the answers were failures, but not before `at_least` answers.
std::unique_ptr<TerminationPredicate> FailAboveFailureShare(double share, std::uint64_t at_least);
// Stops when the flag is set (a signal handler's). The flag must outlive the predicate.
std::unique_ptr<TerminationPredicate> StopOnFlag(const std::atomic<bool>& flag);
// The first of several that does not say kContinue; a failure goes before a stop.
std::unique_ptr<TerminationPredicate> AnyOf(std::vector<std::unique_ptr<TerminationPredicate>> predicates);

}  // namespace filo::client
