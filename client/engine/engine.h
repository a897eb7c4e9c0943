// The load generator: sends a corpus by a schedule over several channels and measures what comes back.
//
// Every worker has its own channels, completion queue, share of the schedule and recorder, so workers share
// nothing while they run. A worker is two threads: one that wakes when a request is due, one that takes
// answers. Either starts whatever is due.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "client/engine/corpus.h"
#include "client/engine/misbehave.h"
#include "client/engine/recorder.h"
#include "client/engine/reference.h"
#include "client/load/rate_limiter.h"
#include "client/rpc/connection.h"

namespace filo::client {

inline constexpr char kDetectMethod[] = "/filo.v1.DetectorService/Detect";

struct EngineOptions {
  std::string method = kDetectMethod;
  // Makes the measured part's schedule; called once per worker, always with the same result. Null: closed
  // loop.
  std::function<std::unique_ptr<RateLimiter>()> make_limiter;
  bool schedule_ends_itself = false;  // the limiter may end before `duration` does, as a recorded trace
  int concurrency = 1;                // closed loop: requests in flight, all workers together
  Nanos think{0};                     // closed loop
  int max_in_flight = 1000;           // open loop, all workers together

  Nanos warm_up{0};
  Nanos duration = std::chrono::seconds(30);  // of the measured part
  std::uint64_t max_requests = 0;             // of the measured part; 0 = no limit
  Nanos drain =
      std::chrono::seconds(30);  // longest wait for answers after the last request; then they are cut off
  double abort_above = 1;        // share of failures that ends the run early

  int threads = 1;
  int connections = 1;
  std::uint64_t seed = 1;
  bool parse_replies = true;  // stage times, verdicts and the reference need it
  MisbehaviourOptions misbehaviour;
};

// A look at a run under way.
struct LiveView {
  Nanos since_start{0};  // of the measured part; negative while warming up
  int in_flight = 0;
  double wanted_rate = 0;
  const RunStats& stats;
};

struct RunResult {
  RunStats stats;
  Nanos measured{0};              // length of the measured part
  double client_cpu_seconds = 0;  // of this process during it
  std::map<std::string, std::uint64_t> misbehaviour;
  std::map<std::string, std::uint64_t> verdicts;  // of the replies: "OK", "NG", …
  std::string end_reason;
  bool aborted = false;
  std::chrono::system_clock::time_point started_at;
};

// Runs it. `reference` may be null; `observer` (may be empty) is called about twice a second from this
// thread; setting `interrupted` ends the run early. kUnavailable (marked as the server's) if no connection
// comes about.
absl::StatusOr<RunResult> RunLoad(const Connection& connection, const Corpus& corpus,
                                  const Reference* reference, const EngineOptions& options,
                                  const std::atomic<bool>& interrupted,
                                  const std::function<void(const LiveView&)>& observer);

}  // namespace filo::client
