// JSON as bundles use it, parsed more strictly than the library does by itself.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "nlohmann/json.hpp"

namespace filo::bundle {

// A JSON object. kInvalidArgument for anything else, for a key given twice in one object (the last would win
// silently) and for nesting deeper than `max_depth` containers. The message continues a sentence that begins
// with the file's name: "is not a JSON object".
absl::StatusOr<nlohmann::json> ParseStrictJson(std::string_view text, int max_depth);

// The text shortened for an error message, never cut inside a UTF-8 sequence.
std::string Shown(std::string_view text);

}  // namespace filo::bundle
