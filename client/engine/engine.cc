#include "client/engine/engine.h"

#include <sys/resource.h>

#include <algorithm>
#include <thread>
#include <utility>

#include "client/engine/worker.h"
#include "client/load/termination.h"
#include "client/rpc/error.h"
#include "fmt/format.h"

namespace filo::client {
namespace {

constexpr Nanos kTick = std::chrono::milliseconds(10);
constexpr Nanos kObserve = std::chrono::milliseconds(500);
constexpr std::uint64_t kFewestAnswersToAbort = 20;

Nanos SteadyNow() { return std::chrono::steady_clock::now().time_since_epoch(); }

double CpuSeconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
         static_cast<double>(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

absl::StatusOr<std::vector<std::shared_ptr<grpc::Channel>>> Connect(const Connection& connection, int count) {
  std::vector<std::shared_ptr<grpc::Channel>> channels;
  for (int i = 0; i < count; ++i) channels.push_back(connection.NewChannel());
  const auto give_up = std::chrono::system_clock::now() + std::chrono::seconds(10);
  for (const auto& channel : channels) {
    if (!channel->WaitForConnected(give_up)) {
      return RpcError(grpc::Status(grpc::StatusCode::UNAVAILABLE, "no connection within 10 s"),
                      connection.options().server);
    }
  }
  return channels;
}

// A run from its first to its last request and on to the last answer.
class Run {
 public:
  Run(RunContext& context, std::vector<std::shared_ptr<grpc::Channel>> channels,
      const std::atomic<bool>& interrupted, const std::function<void(const LiveView&)>& observer)
      : context_(context), options_(context.options), interrupted_(interrupted), observer_(observer) {
    const auto threads = static_cast<std::size_t>(options_.threads);
    for (std::size_t i = 0; i < threads; ++i) {
      std::vector<std::shared_ptr<grpc::Channel>> mine;
      for (std::size_t c = i; c < channels.size(); c += threads) mine.push_back(channels[c]);
      workers_.push_back(std::make_unique<Worker>(context, static_cast<int>(i), std::move(mine)));
    }
  }

  RunResult Execute() {
    result_.started_at = std::chrono::system_clock::now();
    context_.origin = SteadyNow();
    context_.requests_left = static_cast<std::int64_t>(options_.max_requests);
    for (auto& worker : workers_) worker->Start();
    Send();
    for (auto& worker : workers_) worker->StopSending();
    const Nanos stopped = SinceMeasured();
    // The last request of a schedule starts a little before the schedule's end.
    const bool whole = by_schedule_ && options_.max_requests == 0 && !options_.schedule_ends_itself;
    result_.measured = whole ? options_.duration : std::max(Nanos(1), std::min(stopped, options_.duration));
    result_.client_cpu_seconds = cpu_known_ ? CpuSeconds() - cpu_at_start_ : 0;
    Drain();
    for (auto& worker : workers_) worker->Join();
    for (auto& worker : workers_) worker->AddTo(result_.stats, result_.verdicts);
    result_.stats.intervals.Finish(result_.measured);
    return std::move(result_);
  }

 private:
  Nanos SinceMeasured() const { return SteadyNow() - context_.origin - options_.warm_up; }

  bool AllDoneSending() const {
    return std::all_of(workers_.begin(), workers_.end(),
                       [](const auto& worker) { return worker->DoneSending(); });
  }

  int InFlight() const {
    int sum = 0;
    for (const auto& worker : workers_) sum += worker->InFlight();
    return sum;
  }

  void Observe() {
    RunStats stats;
    std::map<std::string, std::uint64_t> verdicts;
    for (const auto& worker : workers_) worker->AddTo(stats, verdicts);
    const Nanos now = SinceMeasured();
    const double wanted = rate_ ? rate_->RateAt(std::max(now, Nanos(0))) : 0;
    if (observer_) observer_(LiveView{now, InFlight(), wanted, stats});
    progress_ = {now, stats.started, stats.succeeded + stats.failed, stats.failed};
  }

  void Send() {
    if (options_.make_limiter) rate_ = options_.make_limiter();
    std::vector<std::unique_ptr<TerminationPredicate>> predicates;
    predicates.push_back(StopOnFlag(interrupted_));
    if (options_.abort_above < 1)
      predicates.push_back(FailAboveFailureShare(options_.abort_above, kFewestAnswersToAbort));
    const auto termination = AnyOf(std::move(predicates));
    Nanos next_look = kObserve;
    while (!AllDoneSending()) {
      std::this_thread::sleep_for(kTick);
      if (!cpu_known_ && SinceMeasured() >= Nanos(0)) {
        cpu_known_ = true;
        cpu_at_start_ = CpuSeconds();
      }
      if (SteadyNow() - context_.origin >= next_look) {
        next_look = SteadyNow() - context_.origin + kObserve;
        Observe();
      }
      const Verdict verdict = termination->Evaluate(progress_);
      if (verdict == Verdict::kContinue) continue;
      by_schedule_ = false;
      result_.aborted = verdict == Verdict::kFail;
      result_.end_reason = termination->Reason();
      return;
    }
    result_.end_reason = "all requests were sent";
  }

  void Drain() {
    const Nanos patience =
        interrupted_ ? std::min<Nanos>(options_.drain, std::chrono::seconds(1)) : options_.drain;
    const Nanos give_up = SteadyNow() + patience;
    while (InFlight() > 0 && SteadyNow() < give_up) std::this_thread::sleep_for(kTick);
    while (InFlight() > 0) {
      for (auto& worker : workers_) worker->CutOff();
      std::this_thread::sleep_for(kTick);
    }
  }

  RunContext& context_;
  const EngineOptions& options_;
  const std::atomic<bool>& interrupted_;
  const std::function<void(const LiveView&)>& observer_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::unique_ptr<RateLimiter> rate_;
  RunResult result_;
  Progress progress_;
  bool by_schedule_ = true;
  bool cpu_known_ = false;
  double cpu_at_start_ = 0;
};

}  // namespace

absl::StatusOr<RunResult> RunLoad(const Connection& connection, const Corpus& corpus,
                                  const Reference* reference, const EngineOptions& options,
                                  const std::atomic<bool>& interrupted,
                                  const std::function<void(const LiveView&)>& observer) {
  auto channels = Connect(connection, std::max(options.connections, options.threads));
  if (!channels.ok()) return channels.status();
  Misbehaver misbehaver(connection, corpus, options.method, options.misbehaviour);
  RunContext context{connection, corpus, reference, options, misbehaver, {}, Nanos(0), {}};
  for (const std::string& category : corpus.Categories())
    context.category_index.emplace(category, context.category_index.size());
  RunResult result = Run(context, *std::move(channels), interrupted, observer).Execute();
  result.misbehaviour = misbehaver.Counts();
  return result;
}

}  // namespace filo::client
