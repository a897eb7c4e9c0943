#include "client/load/slo_search.h"

#include <algorithm>

#include "fmt/format.h"
#include "server/base/status.h"

namespace filo::client {
namespace {

// After a confirming run broke, the next candidate lies this far below.
constexpr double kRetreat = 0.9;

}  // namespace

absl::StatusOr<SloSearch> SloSearch::Create(SearchOptions options) {
  if (!(options.min_rate > 0))
    return FieldError("--min-rate", fmt::format("{}", options.min_rate), "be above 0");
  if (!(options.start_rate >= options.min_rate)) {
    return FieldError("--start-rate", fmt::format("{}", options.start_rate), "be at least --min-rate");
  }
  if (!(options.max_rate >= options.start_rate)) {
    return FieldError("--max-rate", fmt::format("{}", options.max_rate), "be at least --start-rate");
  }
  if (!(options.factor > 1)) return FieldError("--factor", fmt::format("{}", options.factor), "be above 1");
  if (!(options.resolution > 0 && options.resolution < 1)) {
    return FieldError("--resolution", fmt::format("{}", options.resolution), "lie between 0 and 1");
  }
  if (options.max_trials < 2)
    return FieldError("--max-trials", fmt::format("{}", options.max_trials), "be at least 2");
  return SloSearch(options);
}

std::optional<Trial> SloSearch::Next() const { return current_; }

void SloSearch::Report(TrialOutcome outcome) {
  if (!current_.has_value()) return;
  const Trial trial = *current_;
  steps_.push_back({trial, outcome});
  if (outcome == TrialOutcome::kHeld) {
    highest_held_ = std::max(highest_held_.value_or(0), trial.rate);
    if (trial.confirm) confirmed_ = trial.rate;
  } else {
    // A short run that held and a long one that broke contradict each other: the long one is right.
    lowest_broken_ = std::min(lowest_broken_.value_or(trial.rate), trial.rate);
    if (highest_held_.has_value() && *highest_held_ >= *lowest_broken_) highest_held_.reset();
    // Only what was seen at the present bracket's upper end says who the limit is.
    if (*lowest_broken_ == trial.rate) client_limited_ = outcome == TrialOutcome::kClientLimited;
  }
  Decide();
}

void SloSearch::Decide() {
  const Trial last = steps_.back().trial;
  if (confirmed_.has_value() || steps_.size() >= static_cast<std::size_t>(options_.max_trials)) {
    current_.reset();
    return;
  }
  if (!highest_held_.has_value()) {
    const double lower = last.confirm ? last.rate * kRetreat : *lowest_broken_ / options_.factor;
    if (lower < options_.min_rate) {
      current_.reset();
    } else {
      // After a failed confirmation the bracket is known well enough to confirm at once.
      current_ = Trial{lower, last.confirm};
    }
    return;
  }
  if (!lowest_broken_.has_value()) {
    const bool at_top = *highest_held_ >= options_.max_rate;
    current_ = at_top ? Trial{options_.max_rate, true}
                      : Trial{std::min(*highest_held_ * options_.factor, options_.max_rate), false};
    return;
  }
  const bool narrow = *lowest_broken_ - *highest_held_ <= options_.resolution * *lowest_broken_;
  current_ = narrow ? Trial{*highest_held_, true} : Trial{(*highest_held_ + *lowest_broken_) / 2, false};
}

SearchResult SloSearch::Result() const {
  SearchResult result;
  result.confirmed = confirmed_.has_value();
  result.rate = confirmed_.has_value() ? confirmed_ : highest_held_;
  result.client_limited = client_limited_;
  result.at_maximum = result.rate.has_value() && *result.rate >= options_.max_rate;
  if (!result.rate.has_value()) {
    result.summary = fmt::format("no rate down to {:g}/s held the objective",
                                 steps_.empty() ? 0 : steps_.back().trial.rate);
  } else {
    result.summary =
        fmt::format("{:.4g}/s held the objective{}{}", *result.rate,
                    result.confirmed ? " in the confirming run" : " in a short run only; not confirmed",
                    result.client_limited ? "; the limit above it is this client's, not the server's"
                    : result.at_maximum   ? "; the server may hold more than --max-rate"
                                          : "");
  }
  return result;
}

}  // namespace filo::client
