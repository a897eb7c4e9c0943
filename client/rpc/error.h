// What a failed call means, for people and for programs.
#pragma once

#include <grpcpp/grpcpp.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "client/load/clock.h"

namespace filo::client {

// google.rpc details of a status; empty where the server sent none.
struct RpcErrorDetails {
  std::vector<std::pair<std::string, std::string>> violations;  // field, description
  std::string reason;                                           // ErrorInfo.reason, e.g. "QUEUE_FULL"
  std::optional<Nanos> retry_after;
};
RpcErrorDetails ReadDetails(const grpc::Status& status);

// "INVALID_ARGUMENT".
std::string CodeName(grpc::StatusCode code);

// One line: code, message, fields.
std::string ShortError(const grpc::Status& status);

// Lines that say what happened and what to do about it.
std::string ExplainError(const grpc::Status& status, const std::string& server);

// The same as an absl::Status marked as the server's, so that a bad field in a request is not taken for a bad
// flag.
absl::Status RpcError(const grpc::Status& status, const std::string& server);
bool IsRpcError(const absl::Status& status);

}  // namespace filo::client
