// The server's log: one JSON object per line on standard error (or a file), for machines first.
//
// {"time":"2026-01-31T12:00:00.123456Z","level":"info","message":"...","request_id":"...", ...}
//
// Thread-safe. Writing never blocks the caller: lines go through a bounded queue to a writer thread, and when
// that is full the oldest lines are lost and counted. Messages of the same text are limited to a rate, so
// that a flood of bad requests cannot flood the disk; how many were left out is said with the next one that
// is let through.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "nlohmann/json.hpp"

namespace filo::telemetry {

enum class Level { kDebug, kInfo, kWarning, kError };

struct LogOptions {
  Level level = Level::kInfo;
  std::string file;                    // empty = standard error
  int lines_per_second_and_text = 20;  // 0 = unlimited
};

// Starts the log of this process; before it, and after StopLog, lines go to standard error synchronously.
// Call once.
absl::Status StartLog(const LogOptions& options);
// Writes what is queued and stops the writer thread.
void StopLog();

// `message` is the constant text that the rate limit counts by; whatever varies belongs in `fields`. Strings
// that are not UTF-8 are repaired. Never put image bytes, tokens or keys in fields.
void Log(Level level, std::string_view message, nlohmann::json fields = nlohmann::json::object());

// Lines that the rate limit has left out since the process started.
std::uint64_t SuppressedLogLines();

}  // namespace filo::telemetry
