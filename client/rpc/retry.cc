#include "client/rpc/retry.h"

#include <algorithm>
#include <cmath>

#include "client/rpc/error.h"

namespace filo::client {

std::optional<Nanos> RetryPolicy::NextWait(const grpc::Status& status) {
  const bool transient = status.error_code() == grpc::StatusCode::UNAVAILABLE ||
                         status.error_code() == grpc::StatusCode::RESOURCE_EXHAUSTED;
  if (!transient || tried_ >= options_.retries) return std::nullopt;
  const double ceiling =
      std::min(ToSeconds(options_.maximum), ToSeconds(options_.initial) * std::pow(options_.factor, tried_));
  ++tried_;
  const Nanos jitter = Seconds(std::uniform_real_distribution<double>(0, ceiling)(random_));
  // Jitter on top of the server's wish: it sent the same wish to everybody.
  const RpcErrorDetails details = ReadDetails(status);
  if (details.retry_after.has_value()) return *details.retry_after + jitter;
  return jitter;
}

}  // namespace filo::client
