// A gRPC call cut off in the middle of its message, which no gRPC library would do.
#pragma once

#include <string>

#include "absl/status/status.h"

namespace filo::client {

// Connects to HOST:PORT without TLS, speaks HTTP/2 up to half of the message's bytes (at most 16 kB of them,
// one frame), then resets the connection (TCP RST). kUnavailable if it cannot connect.
absl::Status SendHalfARequest(const std::string& server, const std::string& method,
                              const std::string& authorization, const std::string& message);

// The bytes that are sent, for tests: preface, SETTINGS, HEADERS, and a DATA frame that promises more than it
// holds.
std::string HalfARequest(const std::string& server, const std::string& method,
                         const std::string& authorization, const std::string& message);

}  // namespace filo::client
