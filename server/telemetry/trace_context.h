// W3C trace context: who in a distributed trace called us.
//
// Source: W3C Recommendation "Trace Context", the traceparent header.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace filo::telemetry {

struct TraceContext {
  std::string trace_id;   // 32 lower-case hex digits, not all zero
  std::string parent_id;  // 16 lower-case hex digits, not all zero: the caller's span
  bool sampled = false;
};

// Reads "00-<trace id>-<parent id>-<flags>", and later versions by their first four fields. Anything else is
// not a trace context; the header is then ignored, as the recommendation demands.
std::optional<TraceContext> ParseTraceparent(std::string_view header);

// 16 hex digits for a span of our own.
std::string MakeSpanId();

}  // namespace filo::telemetry
