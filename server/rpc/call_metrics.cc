#include "server/rpc/call_metrics.h"

#include <chrono>
#include <string>

#include "fmt/format.h"
#include "google/protobuf/descriptor.h"
#include "server/rpc/status_mapping.h"
#include "server/serving/errors.h"

namespace filo::rpc {
namespace {

using grpc::experimental::InterceptionHookPoints;
using grpc::experimental::Interceptor;
using grpc::experimental::InterceptorBatchMethods;
using grpc::experimental::ServerRpcInfo;

const char* TypeName(ServerRpcInfo::Type type) {
  switch (type) {
    case ServerRpcInfo::Type::UNARY:
      return "unary";
    case ServerRpcInfo::Type::CLIENT_STREAMING:
      return "client_stream";
    case ServerRpcInfo::Type::SERVER_STREAMING:
      return "server_stream";
    case ServerRpcInfo::Type::BIDI_STREAMING:
      return "bidi_stream";
  }
  return "unknown";
}

class CallMetrics : public Interceptor {
 public:
  CallMetrics(telemetry::Metrics* metrics, ServerRpcInfo* info)
      : metrics_(metrics), method_(info->method()), type_(TypeName(info->type())) {
    metrics_->RpcStarted(method_, type_);
  }
  // A call that ended without a status of ours was cut off.
  ~CallMetrics() override {
    if (!handled_) Handled(grpc::StatusCode::CANCELLED);
  }

  void Intercept(InterceptorBatchMethods* methods) override {
    if (methods->QueryInterceptionHookPoint(InterceptionHookPoints::PRE_SEND_STATUS)) {
      grpc::Status status = methods->GetSendStatus();
      if (status.error_code() == grpc::StatusCode::UNIMPLEMENTED && status.error_message().empty()) {
        status = ToGrpcStatus(
            absl::InvalidArgumentError("the bytes of the request are not a message of this method's type"),
            "", nullptr);
        methods->ModifySendStatus(status);
      }
      if (!handled_) Handled(status.error_code());
    }
    methods->Proceed();
  }

 private:
  void Handled(grpc::StatusCode code) {
    handled_ = true;
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin_;
    metrics_->RpcHandled(method_, type_, CodeName(code), seconds.count());
  }

  telemetry::Metrics* const metrics_;
  const std::string method_;
  const std::string type_;
  const std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
  bool handled_ = false;
};

}  // namespace

CallMetricsFactory::CallMetricsFactory(telemetry::Metrics* metrics, const std::vector<std::string>& services)
    : metrics_(metrics) {
  for (const std::string& name : services) {
    const auto* service = google::protobuf::DescriptorPool::generated_pool()->FindServiceByName(name);
    for (int i = 0; service != nullptr && i < service->method_count(); ++i) {
      methods_.insert(fmt::format("/{}/{}", name, service->method(i)->name()));
    }
  }
}

Interceptor* CallMetricsFactory::CreateServerInterceptor(ServerRpcInfo* info) {
  if (methods_.find(std::string_view(info->method())) == methods_.end()) return nullptr;
  return new CallMetrics(metrics_, info);
}

}  // namespace filo::rpc
