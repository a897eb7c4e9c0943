#include "client/load/parse.h"

#include <array>
#include <charconv>
#include <cmath>
#include <string>
#include <utility>

#include "fmt/format.h"
#include "server/base/status.h"

namespace filo::client {
namespace {

constexpr double kMaxSeconds = 1000.0 * 3600;
constexpr std::array<std::pair<std::string_view, double>, 6> kUnits = {
    {{"ns", 1e-9}, {"us", 1e-6}, {"ms", 1e-3}, {"s", 1}, {"m", 60}, {"h", 3600}}};

// The number at the start of the text and what follows it; false if there is none.
bool SplitNumber(std::string_view text, double& number, std::string_view& rest) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || !std::isfinite(number)) return false;
  rest = text.substr(static_cast<std::size_t>(end - text.data()));
  return true;
}

}  // namespace

absl::StatusOr<Nanos> ParseDuration(std::string_view name, std::string_view text) {
  constexpr std::string_view kExpected = "be a duration with a unit, e.g. 250ms, 1.5s, 2m, 1h";
  double number = 0;
  std::string_view unit;
  if (!SplitNumber(text, number, unit) || number < 0) return FieldError(name, text, kExpected);
  if (unit.empty() && number == 0) return Nanos(0);
  for (const auto& [suffix, seconds] : kUnits) {
    if (unit != suffix) continue;
    if (number * seconds > kMaxSeconds) return FieldError(name, text, "be at most 1000h");
    return Nanos(std::llround(number * seconds * 1e9));
  }
  return FieldError(name, text, kExpected);
}

absl::StatusOr<double> ParseNumber(std::string_view name, std::string_view text) {
  double number = 0;
  std::string_view rest;
  if (!SplitNumber(text, number, rest) || !rest.empty()) return FieldError(name, text, "be a number");
  return number;
}

absl::StatusOr<double> ParseShare(std::string_view name, std::string_view text) {
  double number = 0;
  std::string_view rest;
  const bool parsed = SplitNumber(text, number, rest) && (rest.empty() || rest == "%");
  if (parsed && rest == "%") number /= 100;
  if (!parsed || number < 0 || number > 1) return FieldError(name, text, "be a share such as 0.05 or 5%");
  return number;
}

std::string FormatDuration(Nanos duration) {
  const double seconds = ToSeconds(duration);
  const double size = std::abs(seconds);
  if (size == 0) return "0 s";
  const auto [factor, unit] = size < 1e-6   ? std::pair(1e9, "ns")
                              : size < 1e-3 ? std::pair(1e6, "us")
                              : size < 1    ? std::pair(1e3, "ms")
                                            : std::pair(1.0, "s");
  const double shown = seconds * factor;
  const int digits = std::abs(shown) < 9.995 ? 2 : std::abs(shown) < 99.95 ? 1 : 0;
  return fmt::format("{:.{}f} {}", shown, digits, unit);
}

}  // namespace filo::client
