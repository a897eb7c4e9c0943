// filo.v1.DetectorService over the serving layer. Holds no state of its own; thread-safe.
#pragma once

#include "filo/v1/detector_service.grpc.pb.h"
#include "server/rpc/context.h"

namespace filo::rpc {

class DetectorService final : public filo::v1::DetectorService::CallbackService {
 public:
  explicit DetectorService(const ServiceContext& context) : context_(context) {}

  grpc::ServerUnaryReactor* Detect(grpc::CallbackServerContext* context,
                                   const filo::v1::DetectRequest* request,
                                   filo::v1::DetectResponse* response) override;

 private:
  const ServiceContext context_;
};

}  // namespace filo::rpc
