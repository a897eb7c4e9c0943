#include "client/load/sequencer.h"

#include <algorithm>
#include <queue>
#include <utility>

namespace filo::client {
namespace {

class OpenLoop final : public Sequencer {
 public:
  OpenLoop(std::unique_ptr<RateLimiter> limiter, int cap, std::function<void(Nanos)> on_not_sent)
      : limiter_(std::move(limiter)), cap_(std::max(cap, 1)), on_not_sent_(std::move(on_not_sent)) {
    next_ = limiter_->Next();
  }

  std::optional<Nanos> Take(Nanos now) override {
    while (next_.has_value() && *next_ <= now) {
      const Nanos intended = *next_;
      next_ = limiter_->Next();
      ++counts_.due;
      if (in_flight_ >= cap_) {
        ++counts_.not_sent;
        if (on_not_sent_) on_not_sent_(intended);
        continue;
      }
      ++in_flight_;
      ++counts_.started;
      return intended;
    }
    return std::nullopt;
  }

  void Done(Nanos) override { --in_flight_; }
  std::optional<Nanos> NextDue() override { return next_; }
  bool Finished() const override { return !next_.has_value(); }
  SequencerCounts Counts() const override { return counts_; }
  int InFlight() const override { return in_flight_; }

 private:
  std::unique_ptr<RateLimiter> limiter_;
  int cap_;
  std::function<void(Nanos)> on_not_sent_;
  std::optional<Nanos> next_;
  int in_flight_ = 0;
  SequencerCounts counts_;
};

class ClosedLoop final : public Sequencer {
 public:
  ClosedLoop(int concurrency, Nanos think) : think_(think) {
    for (int i = 0; i < std::max(concurrency, 1); ++i) ready_.push(Nanos(0));
  }

  std::optional<Nanos> Take(Nanos now) override {
    if (ready_.empty() || ready_.top() > now) return std::nullopt;
    ready_.pop();
    ++in_flight_;
    ++counts_.due;
    ++counts_.started;
    return now;
  }

  void Done(Nanos now) override {
    --in_flight_;
    ready_.push(now + think_);
  }
  std::optional<Nanos> NextDue() override {
    if (ready_.empty()) return std::nullopt;
    return ready_.top();
  }
  bool Finished() const override { return false; }
  SequencerCounts Counts() const override { return counts_; }
  int InFlight() const override { return in_flight_; }

 private:
  Nanos think_;
  std::priority_queue<Nanos, std::vector<Nanos>, std::greater<>> ready_;
  int in_flight_ = 0;
  SequencerCounts counts_;
};

}  // namespace

std::unique_ptr<Sequencer> MakeOpenLoop(std::unique_ptr<RateLimiter> limiter, int cap,
                                        std::function<void(Nanos)> on_not_sent) {
  return std::make_unique<OpenLoop>(std::move(limiter), cap, std::move(on_not_sent));
}

std::unique_ptr<Sequencer> MakeClosedLoop(int concurrency, Nanos think) {
  return std::make_unique<ClosedLoop>(concurrency, think);
}

}  // namespace filo::client
