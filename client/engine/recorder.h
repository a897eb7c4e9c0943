// Everything a run measures. One recorder per worker, merged at the end (and, for the live view, in between).
#pragma once

#include <grpcpp/support/status.h>

#include <array>
#include <cstdint>
#include <map>
#include <string>

#include "client/load/clock.h"
#include "client/load/histogram.h"
#include "client/load/statistic.h"

namespace filo::client {

// How one request ended.
struct Outcome {
  Nanos intended{0};  // since the measured part's start; negative = warm-up
  Nanos started{0};
  Nanos ended{0};
  grpc::StatusCode code = grpc::StatusCode::OK;
  bool wrong = false;       // answered, but not as the reference says
  bool unfinished = false;  // still under way when the run ended; `ended` is then a lower bound
  std::size_t category = 0;
  std::size_t request_bytes = 0;
  std::size_t reply_bytes = 0;
};

// Thread-compatible plain value.
//
// The headline latency holds requests that succeeded, that were answered wrongly, that ran into their
// deadline and that were unfinished: whoever waited. Requests refused with another code are not in it,
// because a server that refuses quickly would look fast; they are in `failed_latency` and in the error share.
struct RunStats {
  Histogram latency;                             // from the intended start, nanoseconds
  Histogram service;                             // from the actual start
  Histogram failed_latency;                      // from the intended start, all failures
  Histogram send_lag;                            // actual minus intended start, all requests
  std::map<std::size_t, Histogram> by_category;  // headline latency
  std::map<std::string, Histogram> stages;       // from the replies, nanoseconds
  IntervalSeries intervals;

  std::uint64_t warm_up = 0;   // requests left out of everything else
  std::uint64_t due = 0;       // intended to start within the measured part
  std::uint64_t not_sent = 0;  // of these, never sent because the in-flight cap was reached
  std::uint64_t started = 0;
  std::uint64_t succeeded = 0;
  std::uint64_t failed = 0;  // any error, wrong answers and unfinished ones included
  std::uint64_t wrong = 0;
  std::uint64_t unfinished = 0;
  std::uint64_t request_bytes = 0, reply_bytes = 0;
  std::map<int, std::uint64_t> codes;  // by gRPC status code; unfinished ones are not here

  void RecordNotSent(Nanos intended);
  void RecordStart(Nanos intended, Nanos started);
  void RecordEnd(const Outcome& outcome);
  void RecordStage(const std::string& stage, double seconds);
  void Merge(const RunStats& other);

  // Failed and unsent requests as a share of those due.
  double ErrorShareOfDue() const;
};

}  // namespace filo::client
