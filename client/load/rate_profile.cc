#include "client/load/rate_profile.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "client/load/parse.h"
#include "fmt/format.h"
#include "server/base/status.h"

namespace filo::client {
namespace {

constexpr double kMaxRate = 1e7;

absl::Status CheckRate(std::string_view name, double rate) {
  if (rate >= 0 && rate <= kMaxRate) return absl::OkStatus();
  return FieldError(name, fmt::format("{}", rate), "be a rate between 0 and 10000000 requests per second");
}

double Slope(const RatePiece& piece) { return (piece.to - piece.from) / ToSeconds(piece.duration); }

// Requests in the first `seconds` of a piece.
double CountWithin(const RatePiece& piece, double seconds) {
  return seconds * (piece.from + Slope(piece) * seconds / 2);
}

// Seconds into the piece after which `count` requests were due: the root of slope/2 t^2 + from t = count, in
// the form that does not cancel when the slope is small.
double SecondsFor(const RatePiece& piece, double count) {
  const double root = std::sqrt(std::max(0.0, piece.from * piece.from + 2 * Slope(piece) * count));
  const double denominator = piece.from + root;
  return denominator > 0 ? 2 * count / denominator : 0;
}

// "A/B" -> A, B.
absl::Status SplitAtSlash(std::string_view name, std::string_view text, std::string_view& left,
                          std::string_view& right, std::string_view expected) {
  const std::size_t slash = text.find('/');
  if (slash == std::string_view::npos) return FieldError(name, text, expected);
  left = text.substr(0, slash);
  right = text.substr(slash + 1);
  return absl::OkStatus();
}

}  // namespace

RateProfile::RateProfile(std::vector<RatePiece> pieces, std::optional<double> tail_rate)
    : tail_rate_(tail_rate) {
  for (const RatePiece& piece : pieces) {
    placed_.push_back({piece, end_seconds_, end_count_});
    end_seconds_ += ToSeconds(piece.duration);
    end_count_ += CountWithin(piece, ToSeconds(piece.duration));
  }
}

absl::StatusOr<RateProfile> RateProfile::Constant(double rate) {
  FILO_RETURN_IF_ERROR(CheckRate("rate", rate));
  if (rate <= 0) return FieldError("rate", fmt::format("{}", rate), "be above 0");
  return RateProfile({}, rate);
}

absl::StatusOr<RateProfile> RateProfile::Pieces(std::vector<RatePiece> pieces) {
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    const std::string name = fmt::format("piece {}", i + 1);
    FILO_RETURN_IF_ERROR(CheckRate(name, pieces[i].from));
    FILO_RETURN_IF_ERROR(CheckRate(name, pieces[i].to));
    if (pieces[i].duration <= Nanos(0)) return FieldError(name, "0", "last longer than 0");
  }
  RateProfile profile(std::move(pieces), std::nullopt);
  if (profile.end_count_ < 1) {
    return FieldError("rate", fmt::format("{:.3f} requests in all", profile.end_count_),
                      "hold at least one request");
  }
  return profile;
}

absl::StatusOr<RateProfile> RateProfile::ParseRamp(std::string_view text) {
  constexpr std::string_view kName = "--ramp";
  constexpr std::string_view kExpected = "look like FROM..TO/DURATION, e.g. 10..500/60s";
  std::string_view rates, duration_text;
  FILO_RETURN_IF_ERROR(SplitAtSlash(kName, text, rates, duration_text, kExpected));
  const std::size_t dots = rates.find("..");
  if (dots == std::string_view::npos) return FieldError(kName, text, kExpected);
  FILO_ASSIGN_OR_RETURN(const double from, ParseNumber(kName, rates.substr(0, dots)));
  FILO_ASSIGN_OR_RETURN(const double to, ParseNumber(kName, rates.substr(dots + 2)));
  FILO_ASSIGN_OR_RETURN(const Nanos duration, ParseDuration(kName, duration_text));
  FILO_RETURN_IF_ERROR(CheckRate(kName, from));
  FILO_RETURN_IF_ERROR(CheckRate(kName, to));
  if (to <= 0) return FieldError(kName, text, "end above 0");
  if (duration <= Nanos(0)) return FieldError(kName, text, "last longer than 0");
  return RateProfile({{from, to, duration}}, to);
}

absl::StatusOr<RateProfile> RateProfile::ParseSteps(std::string_view text) {
  constexpr std::string_view kName = "--steps";
  std::vector<RatePiece> pieces;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find(',', begin), text.size());
    std::string_view rate_text, duration_text;
    FILO_RETURN_IF_ERROR(SplitAtSlash(kName, text.substr(begin, end - begin), rate_text, duration_text,
                                      "look like RATE/DURATION,RATE/DURATION, e.g. 50/30s,100/30s"));
    FILO_ASSIGN_OR_RETURN(const double rate, ParseNumber(kName, rate_text));
    FILO_ASSIGN_OR_RETURN(const Nanos duration, ParseDuration(kName, duration_text));
    pieces.push_back({rate, rate, duration});
    begin = end + 1;
  }
  auto profile = Pieces(std::move(pieces));
  if (!profile.ok()) return Annotate(profile.status(), kName);
  return profile;
}

double RateProfile::RateAt(Nanos since_start) const {
  const double seconds = ToSeconds(since_start);
  for (const Placed& placed : placed_) {
    const double within = seconds - placed.start_seconds;
    if (within < ToSeconds(placed.piece.duration)) return placed.piece.from + Slope(placed.piece) * within;
  }
  return tail_rate_.value_or(0);
}

double RateProfile::ExpectedBy(Nanos since_start) const {
  const double seconds = ToSeconds(since_start);
  for (const Placed& placed : placed_) {
    const double within = seconds - placed.start_seconds;
    if (within < ToSeconds(placed.piece.duration))
      return placed.start_count + CountWithin(placed.piece, within);
  }
  return end_count_ + tail_rate_.value_or(0) * (seconds - end_seconds_);
}

std::optional<Nanos> RateProfile::WhenExpected(double count) const {
  // A hair of slack: the counts of pieces are sums of floating-point products.
  if (count > end_count_ * (1 + 1e-12)) {
    if (!tail_rate_.has_value()) return std::nullopt;
    return Seconds(end_seconds_ + (count - end_count_) / *tail_rate_);
  }
  for (std::size_t i = placed_.size(); i-- > 0;) {
    const Placed& placed = placed_[i];
    if (count < placed.start_count || (count == placed.start_count && i > 0)) continue;
    const double within =
        std::min(SecondsFor(placed.piece, count - placed.start_count), ToSeconds(placed.piece.duration));
    return Seconds(placed.start_seconds + within);
  }
  return Nanos(0);
}

std::optional<Nanos> RateProfile::Length() const {
  if (tail_rate_.has_value()) return std::nullopt;
  return Seconds(end_seconds_);
}

}  // namespace filo::client
