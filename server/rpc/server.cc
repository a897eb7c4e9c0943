#include "server/rpc/server.h"

#include <chrono>
#include <thread>
#include <utility>
#include <vector>

#include "fmt/format.h"
#include "grpcpp/ext/proto_server_reflection_plugin.h"
#include "grpcpp/grpcpp.h"
#include "grpcpp/health_check_service_interface.h"
#include "server/base/status.h"
#include "server/rpc/call_metrics.h"
#include "server/rpc/detector_service.h"
#include "server/rpc/model_service.h"
#include "server/serving/errors.h"

namespace filo::rpc {
namespace {

// What has been written gets out within this time, or its reader does not read.
constexpr std::chrono::milliseconds kLastWords(250);

constexpr int kMessageOverhead = 1 << 20;  // what a request may hold beside its image

// Can only processes of this machine reach the address?
bool IsLoopback(const std::string& address) {
  if (address.rfind("unix:", 0) == 0) return true;
  const std::string host = address.substr(0, address.rfind(':'));
  return host == "localhost" || host.rfind("127.", 0) == 0 || host == "[::1]" || host == "::1";
}

void SetLimits(const ServerOptions& options, grpc::ServerBuilder* builder) {
  builder->SetMaxReceiveMessageSize(static_cast<int>(options.max_image_bytes) + kMessageOverhead);
  // Two servers on one port would share its connections silently.
  builder->AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder->AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, 1000);
  // Ordinary clients ping every 10 s; gRPC's default would cut them off as abusers.
  builder->AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 5000);
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  // A peer that has gone without a word is noticed within 80 s.
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, 60000);
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 20000);
}

}  // namespace

Server::Server(const ServerOptions& options, serving::ModelSlot* models,
               const serving::CategoryDirectory* categories, telemetry::Metrics* metrics,
               const serving::Clock* clock)
    : metrics_(metrics),
      scheduler_(options.scheduler, clock, metrics),
      bytes_(options.max_bytes_in_flight, &metrics->bytes_in_flight()) {
  context_.models = models;
  context_.categories = categories;
  context_.scheduler = &scheduler_;
  context_.bytes = &bytes_;
  context_.metrics = metrics;
  context_.clock = clock;
  context_.calls = &calls_;
  context_.limits.decode.max_bytes = options.max_image_bytes;
  context_.limits.decode.max_pixels = options.max_image_pixels;
}

absl::StatusOr<std::unique_ptr<Server>> Server::Start(const ServerOptions& options,
                                                      serving::ModelSlot* models,
                                                      const serving::CategoryDirectory* categories,
                                                      telemetry::Metrics* metrics,
                                                      const serving::Clock* clock) {
  if (!options.insecure_bind_any && !IsLoopback(options.listen)) {
    return FieldError("listen", options.listen,
                      "be a loopback address, since there is no TLS; --insecure-bind-any allows any");
  }
  std::unique_ptr<Server> server(new Server(options, models, categories, metrics, clock));
  FILO_RETURN_IF_ERROR(server->Listen(options));
  return server;
}

absl::Status Server::Listen(const ServerOptions& options) {
  detector_service_ = std::make_unique<DetectorService>(context_);
  model_service_ = std::make_unique<ModelService>(context_);
  grpc::EnableDefaultHealthCheckService(true);
  // The plugin is process-wide in gRPC 1.51: once on, it stays on for every server that is built later.
  if (options.reflection) grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  grpc::ServerBuilder builder;
  SetLimits(options, &builder);
  builder.AddListeningPort(options.listen, grpc::InsecureServerCredentials(), &port_);
  builder.RegisterService(detector_service_.get());
  builder.RegisterService(model_service_.get());
  std::vector<std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface>> interceptors;
  interceptors.push_back(std::make_unique<CallMetricsFactory>(
      metrics_,
      std::vector<std::string>{"filo.v1.DetectorService", "filo.v1.ModelService", "grpc.health.v1.Health",
                               "grpc.reflection.v1alpha.ServerReflection"}));
  builder.experimental().SetInterceptorCreators(std::move(interceptors));
  server_ = builder.BuildAndStart();
  if (server_ == nullptr) return FieldError("listen", options.listen, "be an address that can be bound");
  SetServing(false);
  workers_ = std::make_unique<serving::WorkerPool>(&scheduler_, options.scheduler.workers);
  return absl::OkStatus();
}

void Server::SetServing(bool serving) {
  grpc::HealthCheckServiceInterface* health = server_->GetHealthCheckService();
  for (const char* service : {"", "filo.v1.DetectorService", "filo.v1.ModelService"}) {
    health->SetServingStatus(service, serving);
  }
  metrics_->serving().Set(serving ? 1 : 0);
}

bool Server::Drain(absl::Duration notice, absl::Duration grace) {
  SetServing(false);
  std::this_thread::sleep_for(absl::ToChronoNanoseconds(notice));
  const absl::Time end = absl::Now() + grace;
  scheduler_.Drain();
  bool whole = scheduler_.WaitIdle(grace);
  if (!whole) {
    scheduler_.DropWaiting(serving::WithReason(
        absl::UnavailableError("the server stops and did not get to this request; another one may"),
        "DRAINING"));
  }
  whole = calls_.WaitNone(std::max(end - absl::Now(), absl::Milliseconds(100))) && whole;
  // Cancels what is left: running requests after the grace, health watchers, readers that do not read. Not at
  // once: the watchers' NOT_SERVING may still be on its way.
  server_->Shutdown(std::chrono::system_clock::now() + kLastWords);
  return whole;
}

Server::~Server() {
  if (server_ != nullptr) server_->Shutdown(std::chrono::system_clock::now());
  // A call that is shut down still holds its place in the queue until a worker has dropped it.
  workers_.reset();
}

}  // namespace filo::rpc
