// absl::Status -> grpc::Status with google.rpc details. docs/errors.md is the table of what may come out.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "google/rpc/status.pb.h"
#include "grpcpp/server_context.h"
#include "grpcpp/support/status.h"

namespace filo::rpc {

// The domain of every google.rpc.ErrorInfo that this server sends.
inline constexpr char kErrorDomain[] = "filo";

// The same error as a message: BadRequest for a field violation, ErrorInfo with the reason (by default one
// that fits the code), RetryInfo if a delay is attached, RequestInfo with `request_id`. Messages are cut at 2
// KB.
google::rpc::Status ToRpcStatus(const absl::Status& status, std::string_view request_id);

// For a unary call: the message in grpc-status-details-bin. With a retry delay, also the trailer
// grpc-retry-pushback-ms, which gRPC clients obey by themselves. `context` may be null.
grpc::Status ToGrpcStatus(const absl::Status& status, std::string_view request_id,
                          grpc::ServerContextBase* context);

// "OK", "INVALID_ARGUMENT", …
std::string_view CodeName(grpc::StatusCode code);

}  // namespace filo::rpc
