// Quantities as people type them on a command line.
#pragma once

#include <cstdint>
#include <string_view>

#include "absl/status/statusor.h"
#include "client/load/clock.h"

namespace filo::client {

// "250ms", "1.5s", "2m", "1h", "40us", "0"; a plain number is refused because it has no unit (0 excepted).
// `name` is the flag or field for the error message. Range: [0, 1000 h].
absl::StatusOr<Nanos> ParseDuration(std::string_view name, std::string_view text);

// A finite number.
absl::StatusOr<double> ParseNumber(std::string_view name, std::string_view text);

// A share: "0.05" or "5%", in [0, 1].
absl::StatusOr<double> ParseShare(std::string_view name, std::string_view text);

// "850 us", "12.3 ms", "4.56 s": three significant digits, the unit that suits.
std::string FormatDuration(Nanos duration);

}  // namespace filo::client
