#include "server/rpc/model_service.h"

#include "server/rpc/reply.h"
#include "server/rpc/status_mapping.h"
#include "server/serving/errors.h"

namespace filo::rpc {

grpc::ServerUnaryReactor* ModelService::GetModel(grpc::CallbackServerContext* context,
                                                 const filo::v1::GetModelRequest* /*request*/,
                                                 filo::v1::GetModelResponse* response) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  const auto model = context_.models->Current();
  if (model == nullptr) {
    reactor->Finish(ToGrpcStatus(
        serving::WithRetryDelay(
            serving::WithReason(absl::UnavailableError("the model is still being loaded"), "STARTING"),
            absl::Seconds(1)),
        "", context));
    return reactor;
  }
  *response->mutable_model() = ToModel(*model);
  reactor->Finish(grpc::Status::OK);
  return reactor;
}

}  // namespace filo::rpc
