#include "server/serving/scheduler.h"

#include <algorithm>
#include <vector>

#include "fmt/format.h"
#include "server/serving/errors.h"

namespace filo::serving {
namespace {

// When nothing was measured yet, a client that is turned away comes back after this.
constexpr absl::Duration kUnknownCost = absl::Milliseconds(100);

}  // namespace

Scheduler::Scheduler(const Options& options, const Clock* clock, telemetry::Metrics* metrics)
    : options_(options), clock_(clock), metrics_(metrics) {
  LaneOf(Priority::kLine).limit = options.max_line;
  LaneOf(Priority::kBacklog).limit = options.max_backlog;
}

std::uint64_t Scheduler::NewId() {
  const std::lock_guard lock(mutex_);
  return ++last_id_;
}

// Time until a job with this start tag would begin: what runs is half done on average, what is before it in
// its lane goes first, and the line goes before the backlog.
absl::Duration Scheduler::WaitAhead(const Lane& lane, double start) const {
  double units = running_ < options_.workers ? 0 : running_units_ / 2;
  const auto end = lane.jobs.upper_bound(Key(start, arrivals_));
  for (auto at = lane.jobs.begin(); at != end; ++at) units += at->second.units;
  if (&lane != &lanes_[0]) {
    for (const auto& [key, job] : lanes_[0].jobs) units += job.units;
  }
  return cost_.Estimate(clock_->Now()) * units / std::max(options_.workers, 1);
}

std::optional<absl::Status> Scheduler::TooLate(const Job& job, absl::Time now, absl::Duration wait) const {
  if (job.deadline <= now) {
    return WithReason(absl::DeadlineExceededError("the deadline passed before the work began"),
                      "DEADLINE_PASSED");
  }
  const absl::Duration cost = cost_.Estimate(now) * job.units;
  if (now + wait + cost <= job.deadline) return std::nullopt;
  return WithReason(absl::DeadlineExceededError(
                        fmt::format("the deadline is {:.3f} s away, but the request would take about {:.3f} "
                                    "s (waiting {:.3f} s); allow more time",
                                    absl::ToDoubleSeconds(job.deadline - now),
                                    absl::ToDoubleSeconds(wait + cost), absl::ToDoubleSeconds(wait))),
                    "DEADLINE_TOO_SHORT");
}

absl::Status Scheduler::Full(Priority priority) const {
  const Lane& lane = lanes_[priority == Priority::kLine ? 0 : 1];
  const absl::Duration cost = cost_.Estimate(clock_->Now());
  // Half of the queue will have gone by then, so that not everyone comes back to a queue that is still full.
  const absl::Duration delay = cost > absl::ZeroDuration()
                                   ? cost * std::max(lane.limit / 2, 1) / std::max(options_.workers, 1)
                                   : kUnknownCost;
  return WithRetryDelay(WithReason(absl::ResourceExhaustedError(fmt::format(
                                       "{} {} requests wait already, which is the limit", lane.jobs.size(),
                                       priority == Priority::kLine ? "line" : "backlog")),
                                   "QUEUE_FULL"),
                        delay);
}

// The newest job of the client that has the most waiting; the end when that is the newcomer.
std::map<Scheduler::Key, Job>::iterator Scheduler::NewestOfLongest(Lane& lane, const std::string& newcomer) {
  const std::string* longest = &newcomer;
  const auto own = lane.clients.find(newcomer);
  int most = own == lane.clients.end() ? 1 : own->second.waiting + 1;
  for (const auto& [name, client] : lane.clients) {
    if (client.waiting > most) {
      most = client.waiting;
      longest = &name;
    }
  }
  if (longest == &newcomer) return lane.jobs.end();
  const auto newest = std::find_if(lane.jobs.rbegin(), lane.jobs.rend(),
                                   [&](const auto& entry) { return entry.second.client == *longest; });
  return newest == lane.jobs.rend() ? lane.jobs.end() : std::prev(newest.base());
}

absl::Status Scheduler::Submit(Job job) {
  std::optional<Job> pushed_out;
  absl::Status why;
  {
    const std::lock_guard lock(mutex_);
    if (draining_) {
      if (metrics_ != nullptr) metrics_->AdmissionRefused("draining");
      return WithRetryDelay(
          WithReason(absl::UnavailableError("the server is about to stop; another one may answer"),
                     "DRAINING"),
          absl::Seconds(1));
    }
    Lane& lane = LaneOf(job.priority);
    const auto known = lane.clients.find(job.client);
    const double start =
        std::max(lane.virtual_time, known == lane.clients.end() ? 0.0 : known->second.finish);
    if (auto late = TooLate(job, clock_->Now(), WaitAhead(lane, start))) {
      if (metrics_ != nullptr) metrics_->Dropped("deadline", "enqueue");
      return *late;
    }
    if (static_cast<int>(lane.jobs.size()) >= lane.limit) {
      why = Full(job.priority);
      if (metrics_ != nullptr) metrics_->AdmissionRefused("queue_full");
      const auto newest = NewestOfLongest(lane, job.client);
      if (newest == lane.jobs.end()) return why;
      pushed_out = Take(lane, newest);
    }
    Client& client = lane.clients[job.client];
    client.finish = start + std::max(job.units, 1.0);
    ++client.waiting;
    lane.jobs.emplace(Key(start, ++arrivals_), std::move(job));
    ShowDepth();
  }
  work_.notify_one();
  if (pushed_out.has_value()) pushed_out->drop(why);
  return absl::OkStatus();
}

// Takes a job out of its lane; clients that are not ahead of the others any more are forgotten.
Job Scheduler::Take(Lane& lane, std::map<Key, Job>::iterator at) {
  Job job = std::move(at->second);
  lane.jobs.erase(at);
  --lane.clients[job.client].waiting;
  std::erase_if(lane.clients, [&](const auto& entry) {
    return entry.second.waiting == 0 && (entry.second.finish <= lane.virtual_time || lane.jobs.empty());
  });
  if (lane.jobs.empty()) lane.virtual_time = 0;
  return job;
}

void Scheduler::Cancel(std::uint64_t id) {
  std::optional<Job> cancelled;
  {
    const std::lock_guard lock(mutex_);
    for (Lane& lane : lanes_) {
      const auto found = std::find_if(lane.jobs.begin(), lane.jobs.end(),
                                      [&](const auto& entry) { return entry.second.id == id; });
      if (found == lane.jobs.end()) continue;
      cancelled = Take(lane, found);
      if (metrics_ != nullptr) metrics_->Dropped("cancelled", "dequeue");
      ShowDepth();
      break;
    }
  }
  idle_.notify_all();
  if (cancelled.has_value()) {
    cancelled->drop(WithReason(absl::CancelledError("the caller went away"), "CANCELLED"));
  }
}

std::optional<Job> Scheduler::PopNext() {
  for (Lane& lane : lanes_) {
    if (lane.jobs.empty()) continue;
    const auto first = lane.jobs.begin();
    lane.virtual_time = first->first.first;
    Job job = Take(lane, first);
    ShowDepth();
    return job;
  }
  return std::nullopt;
}

void Scheduler::RunOrDrop(std::unique_lock<std::mutex>& lock, Job job) {
  const absl::Time begin = clock_->Now();
  const auto late = TooLate(job, begin, absl::ZeroDuration());
  const double units = job.units;
  bool whole = false;
  ++running_;
  running_units_ += units;
  lock.unlock();
  if (late.has_value()) {
    if (metrics_ != nullptr) metrics_->Dropped("deadline", "dequeue");
    job.drop(*late);
  } else {
    if (metrics_ != nullptr) metrics_->requests_running().Increment();
    whole = job.run();
    if (metrics_ != nullptr) metrics_->requests_running().Decrement();
  }
  job = Job();  // whatever its functions hold goes before the lock is taken again
  lock.lock();
  --running_;
  running_units_ -= units;
  const absl::Time end = clock_->Now();
  if (whole) cost_.Observe(end, end - begin, units);
  if (metrics_ != nullptr) metrics_->estimated_cost().Set(absl::ToDoubleSeconds(cost_.Estimate(end)));
  idle_.notify_all();
}

bool Scheduler::RunNext() {
  std::unique_lock lock(mutex_);
  std::optional<Job> job = PopNext();
  if (!job.has_value()) return false;
  RunOrDrop(lock, *std::move(job));
  return true;
}

bool Scheduler::WaitAndRunNext() {
  std::unique_lock lock(mutex_);
  work_.wait(lock, [&] { return stopped_ || !lanes_[0].jobs.empty() || !lanes_[1].jobs.empty(); });
  std::optional<Job> job = PopNext();
  if (!job.has_value()) return false;
  RunOrDrop(lock, *std::move(job));
  return true;
}

void Scheduler::Drain() {
  const std::lock_guard lock(mutex_);
  draining_ = true;
}

bool Scheduler::WaitIdle(absl::Duration timeout) {
  std::unique_lock lock(mutex_);
  return idle_.wait_for(lock, absl::ToChronoNanoseconds(timeout),
                        [&] { return running_ == 0 && lanes_[0].jobs.empty() && lanes_[1].jobs.empty(); });
}

void Scheduler::DropWaiting(const absl::Status& status) {
  std::vector<Job> dropped;
  {
    const std::lock_guard lock(mutex_);
    for (Lane& lane : lanes_) {
      while (!lane.jobs.empty()) dropped.push_back(Take(lane, lane.jobs.begin()));
    }
    ShowDepth();
  }
  idle_.notify_all();
  for (Job& job : dropped) job.drop(status);
}

void Scheduler::Stop() {
  const std::lock_guard lock(mutex_);
  stopped_ = true;
  work_.notify_all();
}

int Scheduler::waiting() const {
  const std::lock_guard lock(mutex_);
  return static_cast<int>(lanes_[0].jobs.size() + lanes_[1].jobs.size());
}

absl::Duration Scheduler::estimated_cost() const {
  const std::lock_guard lock(mutex_);
  return cost_.Estimate(clock_->Now());
}

void Scheduler::ShowDepth() {
  if (metrics_ == nullptr) return;
  metrics_->queue_depth(false).Set(static_cast<double>(lanes_[0].jobs.size()));
  metrics_->queue_depth(true).Set(static_cast<double>(lanes_[1].jobs.size()));
}

}  // namespace filo::serving
