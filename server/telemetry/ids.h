// Identifiers that the server makes up itself. Thread-safe.
#pragma once

#include <cstdint>
#include <string>

#include "absl/time/time.h"

namespace filo::telemetry {

// 64 random bits, from a generator per thread that the operating system seeded. Not for secrets.
std::uint64_t RandomBits();

// 26 characters of Crockford's base 32 (a ULID): 48 bits of milliseconds, then 80 random bits. Sorts by time.
std::string MakeId(absl::Time now);

}  // namespace filo::telemetry
