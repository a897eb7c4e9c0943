// Which request runs next, and which is turned away: the queue between the RPCs and the workers.
//
// - Bounded. Two priorities: a backlog job runs only when no line job waits.
// - Fair among the clients of one priority: start-time fair queueing, each client's share counted in images,
// so that a
//   client with a thousand jobs waiting does not delay another's first. When the queue is full, the newest
//   job of the client that has the most waiting makes room; that may be the newcomer itself.
// - Deadlines: a job that cannot be done in time by the measured cost is refused when it comes and dropped
// when it
//   would start. Nothing is computed for nobody.
//
// The scheduler has no threads. Workers call WaitAndRunNext; a test calls RunNext and owns the clock.
// Thread-safe.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "server/serving/clock.h"
#include "server/serving/cost_model.h"
#include "server/telemetry/metrics.h"

namespace filo::serving {

enum class Priority { kLine, kBacklog };

struct Job {
  std::uint64_t id = 0;  // from Scheduler::NewId
  Priority priority = Priority::kLine;
  std::string client;  // whose share it is counted against
  absl::Time deadline = absl::InfiniteFuture();
  double units = 1;  // images in it, at least 1
  // Of an accepted job exactly one of these is called, once, without any lock held.
  // True when the work was done whole, so that its cost may be learnt from.
  std::function<bool()> run;
  std::function<void(const absl::Status&)>
      drop;  // CANCELLED, DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED or UNAVAILABLE
};

class Scheduler {
 public:
  struct Options {
    int workers = 1;        // jobs that run at a time; only used to estimate waiting times
    int max_line = 64;      // line jobs that may wait
    int max_backlog = 256;  // backlog jobs that may wait
  };

  // `clock` and `metrics` must outlive the scheduler; `metrics` may be null.
  Scheduler(const Options& options, const Clock* clock, telemetry::Metrics* metrics);

  std::uint64_t NewId();

  // On an error neither run nor drop will be called. RESOURCE_EXHAUSTED (reason QUEUE_FULL) and UNAVAILABLE
  // (reason DRAINING) carry a retry delay; DEADLINE_EXCEEDED has the reason DEADLINE_TOO_SHORT or
  // DEADLINE_PASSED.
  absl::Status Submit(Job job);
  // Drops a job that still waits; one that runs already, or is gone, is left alone.
  void Cancel(std::uint64_t id);

  // Runs one job in this thread; false if none waits.
  bool RunNext();
  // The same, but waits for one; false once Stop was called and none waits.
  bool WaitAndRunNext();

  // From now on Submit refuses. Waiting jobs still run.
  void Drain();
  // True when nothing waits or runs; waits for that up to `timeout` of real time.
  bool WaitIdle(absl::Duration timeout);
  // Drops all waiting jobs with `status`.
  void DropWaiting(const absl::Status& status);
  // Lets WaitAndRunNext return.
  void Stop();

  int waiting() const;
  // Cost of one image by measurement; zero = not measured yet.
  absl::Duration estimated_cost() const;

 private:
  // Jobs of one priority in the order in which they will run: by start tag, then by arrival.
  using Key = std::pair<double, std::uint64_t>;
  struct Client {
    double finish = 0;  // finish tag of its last job
    int waiting = 0;
  };
  struct Lane {
    std::map<Key, Job> jobs;
    std::map<std::string, Client> clients;
    double virtual_time = 0;
    int limit = 0;
  };
  Lane& LaneOf(Priority priority) { return lanes_[priority == Priority::kLine ? 0 : 1]; }
  Job Take(Lane& lane, std::map<Key, Job>::iterator at);
  std::optional<Job> PopNext();
  std::optional<absl::Status> TooLate(const Job& job, absl::Time now, absl::Duration wait) const;
  absl::Duration WaitAhead(const Lane& lane, double start) const;
  absl::Status Full(Priority priority) const;
  std::map<Key, Job>::iterator NewestOfLongest(Lane& lane, const std::string& newcomer);
  void ShowDepth();
  void RunOrDrop(std::unique_lock<std::mutex>& lock, Job job);

  const Options options_;
  const Clock* const clock_;
  telemetry::Metrics* const metrics_;

  mutable std::mutex mutex_;  // guards all that follows
  std::condition_variable work_;
  std::condition_variable idle_;
  Lane lanes_[2];
  CostModel cost_;
  std::uint64_t last_id_ = 0;
  std::uint64_t arrivals_ = 0;
  int running_ = 0;
  double running_units_ = 0;
  bool draining_ = false;
  bool stopped_ = false;
};

}  // namespace filo::serving
