#include "client/rpc/error.h"

#include <array>

#include "absl/strings/cord.h"
#include "fmt/format.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"

namespace filo::client {
namespace {

constexpr char kRpcPayload[] = "type.filo/RpcError";

constexpr std::array<const char*, 17> kCodeNames = {
    "OK",        "CANCELLED",      "UNKNOWN",           "INVALID_ARGUMENT",   "DEADLINE_EXCEEDED",
    "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION",
    "ABORTED",   "OUT_OF_RANGE",   "UNIMPLEMENTED",     "INTERNAL",           "UNAVAILABLE",
    "DATA_LOSS", "UNAUTHENTICATED"};

// What a person can do about a code; empty = nothing more to say than the message.
std::string Advice(const grpc::Status& status, const std::string& server) {
  switch (status.error_code()) {
    case grpc::StatusCode::UNAVAILABLE:
      return fmt::format(
          "No server could be reached at {0}. Is filo-server running there? Start one with\n"
          "    filo-server --bundle DIR --listen {0}\n"
          "or name another with --server HOST:PORT. If the server uses TLS, add --tls (and --tls-ca FILE).",
          server);
    case grpc::StatusCode::DEADLINE_EXCEEDED:
      return "The answer did not come in time. Allow more with --deadline, e.g. --deadline 300s.";
    case grpc::StatusCode::UNAUTHENTICATED:
      return "The server wants to know who you are: give --token-file FILE, or --tls-cert and --tls-key.";
    case grpc::StatusCode::PERMISSION_DENIED:
      return "Your token or certificate lacks the role for this.";
    case grpc::StatusCode::RESOURCE_EXHAUSTED:
      return "The server is full. Try again later, with fewer at a time (--parallel) or more --retries.";
    case grpc::StatusCode::UNIMPLEMENTED:
      return fmt::format(
          "The server at {} does not offer this; it may be older than this client, or no filo-server.",
          server);
    default:
      return "";
  }
}

}  // namespace

RpcErrorDetails ReadDetails(const grpc::Status& status) {
  RpcErrorDetails details;
  google::rpc::Status rpc;
  if (status.error_details().empty() || !rpc.ParseFromString(status.error_details())) return details;
  for (const auto& any : rpc.details()) {
    google::rpc::BadRequest bad_request;
    google::rpc::ErrorInfo info;
    google::rpc::RetryInfo retry;
    if (any.UnpackTo(&bad_request)) {
      for (const auto& violation : bad_request.field_violations()) {
        details.violations.emplace_back(violation.field(), violation.description());
      }
    } else if (any.UnpackTo(&info)) {
      details.reason = info.reason();
    } else if (any.UnpackTo(&retry)) {
      details.retry_after =
          std::chrono::seconds(retry.retry_delay().seconds()) + Nanos(retry.retry_delay().nanos());
    }
  }
  return details;
}

std::string CodeName(grpc::StatusCode code) {
  const auto index = static_cast<std::size_t>(code);
  return index < kCodeNames.size() ? kCodeNames[index] : fmt::format("CODE_{}", index);
}

std::string ShortError(const grpc::Status& status) {
  std::string text = fmt::format("{}: {}", CodeName(status.error_code()), status.error_message());
  for (const auto& [field, description] : ReadDetails(status).violations) {
    // The message often quotes the violation already.
    if (status.error_message().find(description) == std::string::npos)
      text += fmt::format(" ({} {})", field, description);
  }
  return text;
}

std::string ExplainError(const grpc::Status& status, const std::string& server) {
  const std::string advice = Advice(status, server);
  return advice.empty() ? ShortError(status) : fmt::format("{}\n{}", ShortError(status), advice);
}

absl::Status RpcError(const grpc::Status& status, const std::string& server) {
  if (status.ok()) return absl::OkStatus();
  absl::Status error(static_cast<absl::StatusCode>(status.error_code()), ExplainError(status, server));
  error.SetPayload(kRpcPayload, absl::Cord("1"));
  return error;
}

bool IsRpcError(const absl::Status& status) { return status.GetPayload(kRpcPayload).has_value(); }

}  // namespace filo::client
