// What every service needs, and what it can learn about a call.
#pragma once

#include <condition_variable>
#include <mutex>
#include <optional>
#include <string>

#include "absl/time/time.h"
#include "grpcpp/server_context.h"
#include "server/rpc/request.h"
#include "server/serving/byte_budget.h"
#include "server/serving/category_directory.h"
#include "server/serving/clock.h"
#include "server/serving/model_slot.h"
#include "server/serving/scheduler.h"
#include "server/telemetry/metrics.h"
#include "server/telemetry/trace_context.h"

namespace filo::rpc {

// Counts calls from their arrival until gRPC has let go of them, reply included. Thread-safe.
class ActiveCalls {
 public:
  void Begin();
  void End();
  // True when there is none; waits for that up to `timeout`.
  bool WaitNone(absl::Duration timeout);

 private:
  std::mutex mutex_;
  std::condition_variable none_;
  int calls_ = 0;
};

// Everything outlives the services; all of it is thread-safe.
struct ServiceContext {
  serving::ModelSlot* models = nullptr;
  const serving::CategoryDirectory* categories = nullptr;
  serving::Scheduler* scheduler = nullptr;
  serving::ByteBudget* bytes = nullptr;
  telemetry::Metrics* metrics = nullptr;
  const serving::Clock* clock = nullptr;
  ActiveCalls* calls = nullptr;
  Limits limits;
};

// Absolute deadline of a call; InfiniteFuture if it has none.
absl::Time Deadline(const grpc::ServerContextBase& context);
// Whose share of the queue a call is counted against: the peer's address without its port.
std::string ClientKey(const grpc::ServerContextBase& context);
std::optional<telemetry::TraceContext> CallerTrace(const grpc::ServerContextBase& context);

}  // namespace filo::rpc
