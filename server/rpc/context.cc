#include "server/rpc/context.h"

#include <chrono>

#include "absl/time/time.h"

namespace filo::rpc {

void ActiveCalls::Begin() {
  const std::lock_guard lock(mutex_);
  ++calls_;
}

void ActiveCalls::End() {
  const std::lock_guard lock(mutex_);
  if (--calls_ == 0) none_.notify_all();
}

bool ActiveCalls::WaitNone(absl::Duration timeout) {
  std::unique_lock lock(mutex_);
  return none_.wait_for(lock, absl::ToChronoNanoseconds(timeout), [this] { return calls_ == 0; });
}

absl::Time Deadline(const grpc::ServerContextBase& context) {
  const std::chrono::system_clock::time_point deadline = context.deadline();
  if (deadline == std::chrono::system_clock::time_point::max()) return absl::InfiniteFuture();
  return absl::FromChrono(deadline);
}

std::string ClientKey(const grpc::ServerContextBase& context) {
  // "ipv4:10.0.0.7:51234", "ipv6:%5B::1%5D:51234", "unix:..."
  std::string peer = context.peer();
  if (peer.rfind("ipv", 0) == 0) {
    const std::size_t colon = peer.rfind(':');
    if (colon != std::string::npos && colon > 4) peer.resize(colon);
  }
  return peer;
}

std::optional<telemetry::TraceContext> CallerTrace(const grpc::ServerContextBase& context) {
  const auto found = context.client_metadata().find("traceparent");
  if (found == context.client_metadata().end()) return std::nullopt;
  return telemetry::ParseTraceparent(std::string_view(found->second.data(), found->second.size()));
}

}  // namespace filo::rpc
