// How the wanted request rate changes over a run: pieces in which it is constant or changes linearly.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "client/load/clock.h"

namespace filo::client {

// One piece. Rates in requests per second, both >= 0; duration > 0.
struct RatePiece {
  double from = 0;
  double to = 0;
  Nanos duration{0};
};

// Immutable value; thread-safe once built.
class RateProfile {
 public:
  // The same rate for ever. kInvalidArgument unless 0 < rate <= 10 million.
  static absl::StatusOr<RateProfile> Constant(double rate);
  // The pieces one after another, then the end. kInvalidArgument naming the piece if one is empty or
  // negative, or if together they hold less than one request.
  static absl::StatusOr<RateProfile> Pieces(std::vector<RatePiece> pieces);

  // "FROM..TO/DURATION", e.g. "10..500/60s": a ramp, then TO for ever.
  static absl::StatusOr<RateProfile> ParseRamp(std::string_view text);
  // "RATE/DURATION,RATE/DURATION,…", e.g. "50/30s,100/30s": steps, then the end.
  static absl::StatusOr<RateProfile> ParseSteps(std::string_view text);

  // Wanted rate at a moment since the start, requests per second; 0 after the end.
  double RateAt(Nanos since_start) const;
  // Expected number of requests up to a moment.
  double ExpectedBy(Nanos since_start) const;
  // The moment at which ExpectedBy() reaches `count`; nullopt if it never does.
  std::optional<Nanos> WhenExpected(double count) const;
  // Length of all pieces; nullopt if the profile never ends.
  std::optional<Nanos> Length() const;

 private:
  struct Placed {
    RatePiece piece;
    double start_seconds;
    double start_count;
  };
  RateProfile(std::vector<RatePiece> pieces, std::optional<double> tail_rate);

  std::vector<Placed> placed_;
  double end_seconds_ = 0;
  double end_count_ = 0;
  std::optional<double> tail_rate_;  // for ever after the last piece
};

}  // namespace filo::client
