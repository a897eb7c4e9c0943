#include "client/load/slo_search.h"

#include <gtest/gtest.h>

#include <functional>

namespace filo::client {
namespace {

SearchResult RunSearch(SearchOptions options, const std::function<TrialOutcome(const Trial&)>& server,
                       std::vector<SearchStep>* steps = nullptr) {
  auto search = SloSearch::Create(options);
  EXPECT_TRUE(search.ok()) << search.status();
  while (const auto trial = search->Next()) search->Report(server(*trial));
  if (steps != nullptr) *steps = search->Steps();
  return search->Result();
}

TrialOutcome HeldUpTo(double limit, const Trial& trial) {
  return trial.rate <= limit ? TrialOutcome::kHeld : TrialOutcome::kBroken;
}

TEST(SloSearch, FindsTheLimitWithinItsResolutionAndConfirmsIt) {
  for (const double limit : {0.3, 1.0, 7.7, 100.0, 4321.0}) {
    std::vector<SearchStep> steps;
    const auto result = RunSearch(
        {}, [&](const Trial& t) { return HeldUpTo(limit, t); }, &steps);
    ASSERT_TRUE(result.rate.has_value()) << limit;
    EXPECT_LE(*result.rate, limit);
    EXPECT_GE(*result.rate, limit * 0.94);
    EXPECT_TRUE(result.confirmed);
    EXPECT_TRUE(steps.back().trial.confirm);
    EXPECT_FALSE(result.client_limited);
  }
}

TEST(SloSearch, ABrokenConfirmationSendsItLower) {
  const auto result =
      RunSearch({.start_rate = 10}, [](const Trial& t) { return HeldUpTo(t.confirm ? 70 : 100, t); });
  ASSERT_TRUE(result.confirmed);
  EXPECT_LE(*result.rate, 70);
  EXPECT_GE(*result.rate, 60);
}

TEST(SloSearch, SaysWhenNothingHolds) {
  std::vector<SearchStep> steps;
  const auto result = RunSearch(
      {.min_rate = 0.2}, [](const Trial&) { return TrialOutcome::kBroken; }, &steps);
  EXPECT_FALSE(result.rate.has_value());
  EXPECT_FALSE(result.confirmed);
  EXPECT_EQ(steps.size(), 3u);  // 1, 0.5, 0.25
}

TEST(SloSearch, AClientLimitIsNotCalledTheServers) {
  const auto result = RunSearch(
      {}, [](const Trial& t) { return t.rate > 50 ? TrialOutcome::kClientLimited : TrialOutcome::kHeld; });
  EXPECT_TRUE(result.client_limited);
  EXPECT_TRUE(result.confirmed);
  EXPECT_NE(result.summary.find("client"), std::string::npos);
}

TEST(SloSearch, StopsAtTheMaximumRate) {
  const auto result =
      RunSearch({.start_rate = 3, .max_rate = 20}, [](const Trial&) { return TrialOutcome::kHeld; });
  EXPECT_EQ(*result.rate, 20);
  EXPECT_TRUE(result.at_maximum);
  EXPECT_TRUE(result.confirmed);
}

TEST(SloSearch, NeverExceedsItsTrials) {
  std::vector<SearchStep> steps;
  int n = 0;
  RunSearch(
      {.max_trials = 7},
      [&](const Trial&) { return ++n % 2 == 0 ? TrialOutcome::kBroken : TrialOutcome::kHeld; }, &steps);
  EXPECT_LE(steps.size(), 7u);
}

TEST(SloSearch, ChecksItsOptions) {
  EXPECT_FALSE(SloSearch::Create({.min_rate = 0}).ok());
  EXPECT_FALSE(SloSearch::Create({.start_rate = 0.001}).ok());
  EXPECT_FALSE(SloSearch::Create({.max_rate = 0.5}).ok());
  EXPECT_FALSE(SloSearch::Create({.factor = 1}).ok());
  EXPECT_FALSE(SloSearch::Create({.resolution = 0}).ok());
  EXPECT_FALSE(SloSearch::Create({.max_trials = 1}).ok());
}

}  // namespace
}  // namespace filo::client
