#include "server/rpc/status_mapping.h"

#include <utility>

#include "absl/time/time.h"
#include "google/rpc/error_details.pb.h"
#include "server/base/status.h"
#include "server/serving/errors.h"

namespace filo::rpc {
namespace {

// Trailers share one limit of a few kilobytes with the details.
constexpr std::size_t kMaxMessageBytes = 2048;

std::string Cut(std::string_view text) {
  if (text.size() <= kMaxMessageBytes) return std::string(text);
  std::size_t end = kMaxMessageBytes;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0u) == 0x80u) --end;
  return std::string(text.substr(0, end)) + "…";
}

std::string_view DefaultReason(absl::StatusCode code) {
  switch (code) {
    case absl::StatusCode::kInvalidArgument:
      return "INVALID_FIELD";
    case absl::StatusCode::kNotFound:
      return "CATEGORY_NOT_FOUND";
    case absl::StatusCode::kAlreadyExists:
      return "CATEGORY_EXISTS";
    case absl::StatusCode::kAborted:
      return "ETAG_MISMATCH";
    case absl::StatusCode::kResourceExhausted:
      return "OUT_OF_MEMORY";
    case absl::StatusCode::kDeadlineExceeded:
      return "DEADLINE_PASSED";
    case absl::StatusCode::kCancelled:
      return "CANCELLED";
    case absl::StatusCode::kUnavailable:
      return "STORE_UNAVAILABLE";
    case absl::StatusCode::kUnauthenticated:
      return "UNAUTHENTICATED";
    case absl::StatusCode::kPermissionDenied:
      return "ROLE_MISSING";
    case absl::StatusCode::kFailedPrecondition:
      return "BUNDLE_REFUSED";
    case absl::StatusCode::kUnimplemented:
      return "UNSUPPORTED";
    default:
      return "BUG";
  }
}

}  // namespace

google::rpc::Status ToRpcStatus(const absl::Status& status, std::string_view request_id) {
  google::rpc::Status out;
  out.set_code(static_cast<int>(status.code()));
  out.set_message(Cut(std::string(status.message())));
  if (status.ok()) return out;
  if (const auto violation = GetFieldViolation(status)) {
    google::rpc::BadRequest bad;
    auto* field = bad.add_field_violations();
    field->set_field(Cut(violation->field));
    field->set_description(Cut(violation->description));
    out.add_details()->PackFrom(bad);
  }
  google::rpc::ErrorInfo info;
  info.set_domain(kErrorDomain);
  const auto reason = serving::GetReason(status);
  info.set_reason(reason.has_value() ? *reason : std::string(DefaultReason(status.code())));
  out.add_details()->PackFrom(info);
  if (const auto delay = serving::GetRetryDelay(status)) {
    google::rpc::RetryInfo retry;
    const std::int64_t milliseconds = absl::ToInt64Milliseconds(*delay);
    retry.mutable_retry_delay()->set_seconds(milliseconds / 1000);
    retry.mutable_retry_delay()->set_nanos(static_cast<std::int32_t>(milliseconds % 1000 * 1'000'000));
    out.add_details()->PackFrom(retry);
  }
  if (!request_id.empty()) {
    google::rpc::RequestInfo request;
    request.set_request_id(std::string(request_id));
    out.add_details()->PackFrom(request);
  }
  return out;
}

grpc::Status ToGrpcStatus(const absl::Status& status, std::string_view request_id,
                          grpc::ServerContextBase* context) {
  if (status.ok()) return grpc::Status::OK;
  const google::rpc::Status details = ToRpcStatus(status, request_id);
  if (const auto delay = serving::GetRetryDelay(status); delay.has_value() && context != nullptr) {
    context->AddTrailingMetadata("grpc-retry-pushback-ms", std::to_string(absl::ToInt64Milliseconds(*delay)));
  }
  // The canonical codes of absl and gRPC have the same numbers.
  return grpc::Status(static_cast<grpc::StatusCode>(details.code()), details.message(),
                      details.SerializeAsString());
}

std::string_view CodeName(grpc::StatusCode code) {
  static const std::string_view names[] = {
      "OK",        "CANCELLED",      "UNKNOWN",           "INVALID_ARGUMENT",   "DEADLINE_EXCEEDED",
      "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION",
      "ABORTED",   "OUT_OF_RANGE",   "UNIMPLEMENTED",     "INTERNAL",           "UNAVAILABLE",
      "DATA_LOSS", "UNAUTHENTICATED"};
  const auto index = static_cast<std::size_t>(code);
  return index < std::size(names) ? names[index] : "UNKNOWN";
}

}  // namespace filo::rpc
