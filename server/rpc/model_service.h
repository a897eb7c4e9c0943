// filo.v1.ModelService: what model answers. Thread-safe.
#pragma once

#include "filo/v1/model_service.grpc.pb.h"
#include "server/rpc/context.h"

namespace filo::rpc {

class ModelService final : public filo::v1::ModelService::CallbackService {
 public:
  explicit ModelService(const ServiceContext& context) : context_(context) {}

  grpc::ServerUnaryReactor* GetModel(grpc::CallbackServerContext* context,
                                     const filo::v1::GetModelRequest* request,
                                     filo::v1::GetModelResponse* response) override;

 private:
  const ServiceContext context_;
};

}  // namespace filo::rpc
