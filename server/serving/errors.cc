#include "server/serving/errors.h"

#include <algorithm>
#include <cstdint>

#include "absl/strings/cord.h"
#include "absl/strings/numbers.h"

namespace filo::serving {
namespace {

constexpr char kReasonPayload[] = "type.filo/Reason";
constexpr char kRetryPayload[] = "type.filo/RetryMilliseconds";

}  // namespace

absl::Status WithReason(absl::Status status, std::string_view reason) {
  status.SetPayload(kReasonPayload, absl::Cord(absl::string_view(reason.data(), reason.size())));
  return status;
}

std::optional<std::string> GetReason(const absl::Status& status) {
  const auto payload = status.GetPayload(kReasonPayload);
  if (!payload.has_value()) return std::nullopt;
  return std::string(*payload);
}

absl::Status WithRetryDelay(absl::Status status, absl::Duration delay) {
  const std::int64_t milliseconds = std::max<std::int64_t>(1, absl::ToInt64Milliseconds(delay));
  status.SetPayload(kRetryPayload, absl::Cord(std::to_string(milliseconds)));
  return status;
}

std::optional<absl::Duration> GetRetryDelay(const absl::Status& status) {
  const auto payload = status.GetPayload(kRetryPayload);
  std::int64_t milliseconds = 0;
  if (!payload.has_value() || !absl::SimpleAtoi(std::string(*payload), &milliseconds)) return std::nullopt;
  return absl::Milliseconds(milliseconds);
}

}  // namespace filo::serving
