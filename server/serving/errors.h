// What an error of the serving layer tells a caller beyond code and message: a reason that programs can
// compare (filo.v1.ErrorReason without its prefix), and when to try again. Carried as payloads of
// absl::Status, which rpc/ turns into google.rpc details.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace filo::serving {

absl::Status WithReason(absl::Status status, std::string_view reason);
std::optional<std::string> GetReason(const absl::Status& status);

// The delay is at least 1 ms.
absl::Status WithRetryDelay(absl::Status status, absl::Duration delay);
std::optional<absl::Duration> GetRetryDelay(const absl::Status& status);

}  // namespace filo::serving
