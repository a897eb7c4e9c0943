// The gRPC server: services, health, reflection, limits, and how it stops.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "grpcpp/server.h"
#include "server/rpc/context.h"
#include "server/serving/worker_pool.h"

namespace filo::rpc {

struct ServerOptions {
  std::string listen = "127.0.0.1:50051";  // host:port or unix:path; port 0 picks a free one
  bool insecure_bind_any = false;          // without TLS, also listen on addresses that other machines reach
  bool reflection = true;
  std::size_t max_image_bytes = std::size_t{64} << 20;
  std::int64_t max_image_pixels = std::int64_t{64} << 20;
  std::int64_t max_bytes_in_flight = std::int64_t{512} << 20;
  serving::Scheduler::Options scheduler;
};

// Starts at construction, with all services NOT_SERVING. Thread-safe.
class Server {
 public:
  // `models`, `categories`, `metrics` and `clock` must outlive the server. Errors: kInvalidArgument with the
  // field "listen" when the address cannot be bound, or may not be bound without TLS.
  static absl::StatusOr<std::unique_ptr<Server>> Start(const ServerOptions& options,
                                                       serving::ModelSlot* models,
                                                       const serving::CategoryDirectory* categories,
                                                       telemetry::Metrics* metrics,
                                                       const serving::Clock* clock);
  // Stops without grace if Drain was not called.
  ~Server();

  int port() const { return port_; }  // 0 for a unix socket
  serving::Scheduler& scheduler() { return scheduler_; }

  // What the health service says of the server and of each service.
  void SetServing(bool serving);

  // NOT_SERVING at once; after `notice` no new requests are taken (so that load balancers learn of it first);
  // requests that are here get up to `grace` to be answered, then they are cancelled. Returns true if none
  // had to be.
  bool Drain(absl::Duration notice, absl::Duration grace);

 private:
  Server(const ServerOptions& options, serving::ModelSlot* models,
         const serving::CategoryDirectory* categories, telemetry::Metrics* metrics,
         const serving::Clock* clock);
  absl::Status Listen(const ServerOptions& options);

  telemetry::Metrics* const metrics_;
  serving::Scheduler scheduler_;
  serving::ByteBudget bytes_;
  ActiveCalls calls_;
  ServiceContext context_;
  std::unique_ptr<grpc::Service> detector_service_;
  std::unique_ptr<grpc::Service> model_service_;
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<serving::WorkerPool> workers_;
};

}  // namespace filo::rpc
