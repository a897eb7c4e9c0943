#include "client/load/termination.h"

#include <utility>

#include "client/load/parse.h"
#include "fmt/format.h"

namespace filo::client {
namespace {

class DurationPredicate final : public TerminationPredicate {
 public:
  explicit DurationPredicate(Nanos duration) : duration_(duration) {}
  Verdict Evaluate(const Progress& progress) override {
    return progress.since_start >= duration_ ? Verdict::kStop : Verdict::kContinue;
  }
  std::string Reason() const override { return fmt::format("{} are over", FormatDuration(duration_)); }

 private:
  Nanos duration_;
};

class CountPredicate final : public TerminationPredicate {
 public:
  explicit CountPredicate(std::uint64_t count) : count_(count) {}
  Verdict Evaluate(const Progress& progress) override {
    return progress.started >= count_ ? Verdict::kStop : Verdict::kContinue;
  }
  std::string Reason() const override { return fmt::format("{} requests were sent", count_); }

 private:
  std::uint64_t count_;
};

class FailureShare final : public TerminationPredicate {
 public:
  FailureShare(double share, std::uint64_t at_least) : share_(share), at_least_(at_least) {}
  Verdict Evaluate(const Progress& progress) override {
    if (progress.answered < at_least_ || progress.answered == 0) return Verdict::kContinue;
    seen_ = static_cast<double>(progress.failed) / static_cast<double>(progress.answered);
    return seen_ > share_ ? Verdict::kFail : Verdict::kContinue;
  }
  std::string Reason() const override {
    return fmt::format("{:.1f} % of the requests failed (limit {:.1f} %)", seen_ * 100, share_ * 100);
  }

 private:
  double share_;
  std::uint64_t at_least_;
  double seen_ = 0;
};

class FlagPredicate final : public TerminationPredicate {
 public:
  explicit FlagPredicate(const std::atomic<bool>& flag) : flag_(flag) {}
  Verdict Evaluate(const Progress&) override { return flag_.load() ? Verdict::kStop : Verdict::kContinue; }
  std::string Reason() const override { return "interrupted"; }

 private:
  const std::atomic<bool>& flag_;
};

class AnyOfPredicate final : public TerminationPredicate {
 public:
  explicit AnyOfPredicate(std::vector<std::unique_ptr<TerminationPredicate>> predicates)
      : predicates_(std::move(predicates)) {}
  Verdict Evaluate(const Progress& progress) override {
    Verdict verdict = Verdict::kContinue;
    for (const auto& predicate : predicates_) {
      const Verdict one = predicate->Evaluate(progress);
      const bool worse = one == Verdict::kFail ? verdict != Verdict::kFail
                                               : one == Verdict::kStop && verdict == Verdict::kContinue;
      if (!worse) continue;
      verdict = one;
      reason_ = predicate->Reason();
    }
    return verdict;
  }
  std::string Reason() const override { return reason_; }

 private:
  std::vector<std::unique_ptr<TerminationPredicate>> predicates_;
  std::string reason_;
};

}  // namespace

std::unique_ptr<TerminationPredicate> StopAfter(Nanos duration) {
  return std::make_unique<DurationPredicate>(duration);
}

std::unique_ptr<TerminationPredicate> StopAfterRequests(std::uint64_t count) {
  return std::make_unique<CountPredicate>(count);
}

std::unique_ptr<TerminationPredicate> FailAboveFailureShare(double share, std::uint64_t at_least) {
  return std::make_unique<FailureShare>(share, at_least);
}

std::unique_ptr<TerminationPredicate> StopOnFlag(const std::atomic<bool>& flag) {
  return std::make_unique<FlagPredicate>(flag);
}

std::unique_ptr<TerminationPredicate> AnyOf(std::vector<std::unique_ptr<TerminationPredicate>> predicates) {
  return std::make_unique<AnyOfPredicate>(std::move(predicates));
}

}  // namespace filo::client
