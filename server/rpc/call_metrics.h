// Counts and times every RPC under the conventional grpc_server_* names, health and reflection included.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "grpcpp/support/server_interceptor.h"
#include "server/telemetry/metrics.h"

namespace filo::rpc {

// Also turns the empty UNIMPLEMENTED that gRPC answers to a message it cannot parse into INVALID_ARGUMENT,
// which is what it is: the method exists, the bytes are wrong. `metrics` must outlive the server.
// Methods that do not exist are left alone: their names are the caller's, and must never become labels.
class CallMetricsFactory : public grpc::experimental::ServerInterceptorFactoryInterface {
 public:
  // `services`: full names of services whose code is linked in; all their methods are counted.
  CallMetricsFactory(telemetry::Metrics* metrics, const std::vector<std::string>& services);
  grpc::experimental::Interceptor* CreateServerInterceptor(grpc::experimental::ServerRpcInfo* info) override;

 private:
  telemetry::Metrics* const metrics_;
  std::set<std::string, std::less<>> methods_;  // "/package.Service/Method"
};

}  // namespace filo::rpc
