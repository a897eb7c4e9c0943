#include "client/command/command.h"
#include "client/command/options.h"
#include "client/rpc/connection.h"
#include "client/rpc/error.h"
#include "fmt/format.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "nlohmann/json.hpp"

namespace filo::client {
namespace {

class HealthCommand final : public SimpleCommand {
 public:
  void Register(CLI::App& app) override {
    CLI::App* sub = Add(app, "health", "Asks whether the server is ready to work; exit code 1 if it is not");
    sub->add_option("--service", service_,
                    "Service to ask about, e.g. filo.v1.DetectorService (default: the whole server)")
        ->type_name("NAME");
    sub->add_flag("--watch", watch_, "Print every change until interrupted");
    sub->add_flag("--json", json_, "One JSON object a line");
    connection_.deadline = std::chrono::seconds(5);
    AddConnectionOptions(*sub, connection_);
  }

  absl::StatusOr<int> Run() override {
    auto connection = Connection::Create(connection_);
    if (!connection.ok()) return connection.status();
    auto stub = grpc::health::v1::Health::NewStub((*connection)->channel());
    grpc::health::v1::HealthCheckRequest request;
    request.set_service(service_);
    if (watch_) return Watch(**connection, *stub, request);
    grpc::health::v1::HealthCheckResponse response;
    const grpc::Status status = (*connection)->Call([&](grpc::ClientContext& context) {
      return stub->Check(&context, request, &response);
    });
    if (status.error_code() == grpc::StatusCode::NOT_FOUND) {
      return absl::NotFoundError(
          fmt::format("the server at {} has no service \"{}\"", connection_.server, service_));
    }
    if (!status.ok()) return RpcError(status, connection_.server);
    return Print(response);
  }

 private:
  int Print(const grpc::health::v1::HealthCheckResponse& response) const {
    const bool serving = response.status() == grpc::health::v1::HealthCheckResponse::SERVING;
    const std::string name = grpc::health::v1::HealthCheckResponse::ServingStatus_Name(response.status());
    if (json_) {
      fmt::print(
          "{}\n",
          nlohmann::json{{"server", connection_.server}, {"service", service_}, {"status", name}}.dump());
    } else {
      fmt::print("{}{}: {}\n", connection_.server, service_.empty() ? "" : " " + service_, name);
    }
    std::fflush(stdout);
    return serving ? kDone : kFound;
  }

  absl::StatusOr<int> Watch(const Connection& connection, grpc::health::v1::Health::Stub& stub,
                            const grpc::health::v1::HealthCheckRequest& request) const {
    grpc::ClientContext context;
    connection.Prepare(context);
    context.set_deadline(std::chrono::system_clock::time_point::max());
    auto reader = stub.Watch(&context, request);
    grpc::health::v1::HealthCheckResponse response;
    while (reader->Read(&response)) Print(response);
    return RpcError(reader->Finish(), connection_.server);
  }

  std::string service_;
  bool watch_ = false;
  bool json_ = false;
  ConnectionOptions connection_;
};

}  // namespace

std::unique_ptr<Command> MakeHealthCommand() { return std::make_unique<HealthCommand>(); }

}  // namespace filo::client
