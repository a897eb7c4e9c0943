#include <google/protobuf/util/json_util.h>

#include "client/command/command.h"
#include "client/command/options.h"
#include "client/rpc/connection.h"
#include "client/rpc/error.h"
#include "filo/v1/model_service.grpc.pb.h"
#include "fmt/format.h"

namespace filo::client {
namespace {

std::string Join(const google::protobuf::RepeatedPtrField<std::string>& words) {
  std::string joined;
  for (const std::string& word : words) joined += (joined.empty() ? "" : ", ") + word;
  return joined;
}

void PrintForPeople(const filo::v1::Model& model) {
  const char* profile = model.reference().profile() == filo::v1::PROFILE_PAPER ? "paper" : "released";
  fmt::print("bundle    {}\n", model.reference().bundle());
  fmt::print("digest    {}\n", model.reference().digest());
  fmt::print("summary   {}\n", model.summary());
  fmt::print("profile   {}\n", profile);
  fmt::print("device    {}\n", model.device());
  fmt::print("image     {0} x {0} pixels\n", model.image_size());
  fmt::print("positions {}\n", Join(model.positions()));
  fmt::print("words     {}\n", Join(model.general_words()));
  fmt::print("loaded in {:.1f} s\n", model.load_seconds());
  for (const auto& file : model.files()) {
    fmt::print("file      {:<18} {:>12} bytes  sha256 {}  {}; licence {}\n", file.role(), file.size_bytes(),
               file.sha256().substr(0, 12), file.provenance(), file.licence());
  }
}

class ModelCommand final : public SimpleCommand {
 public:
  void Register(CLI::App& app) override {
    CLI::App* sub = Add(app, "model", "Describes the model that the server runs");
    sub->add_flag("--json", json_, "Print JSON");
    connection_.deadline = std::chrono::seconds(10);
    AddConnectionOptions(*sub, connection_);
  }

  absl::StatusOr<int> Run() override {
    auto connection = Connection::Create(connection_);
    if (!connection.ok()) return connection.status();
    auto stub = filo::v1::ModelService::NewStub((*connection)->channel());
    filo::v1::GetModelResponse response;
    const grpc::Status status = (*connection)->Call([&](grpc::ClientContext& context) {
      return stub->GetModel(&context, filo::v1::GetModelRequest(), &response);
    });
    if (!status.ok()) return RpcError(status, connection_.server);
    if (!json_) {
      PrintForPeople(response.model());
      return kDone;
    }
    google::protobuf::util::JsonPrintOptions options;
    options.preserve_proto_field_names = true;
    std::string json;
    if (!google::protobuf::util::MessageToJsonString(response.model(), &json, options).ok()) {
      return absl::InternalError("the server's answer cannot be written as JSON");
    }
    fmt::print("{}\n", json);
    return kDone;
  }

 private:
  bool json_ = false;
  ConnectionOptions connection_;
};

}  // namespace

std::unique_ptr<Command> MakeModelCommand() { return std::make_unique<ModelCommand>(); }

}  // namespace filo::client
