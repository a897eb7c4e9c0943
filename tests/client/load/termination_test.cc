#include "client/load/termination.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace filo::client {
namespace {

using std::chrono::seconds;
using ::testing::HasSubstr;

TEST(Termination, DurationCountAndFlag) {
  auto duration = StopAfter(seconds(5));
  EXPECT_EQ(duration->Evaluate({.since_start = seconds(4)}), Verdict::kContinue);
  EXPECT_EQ(duration->Evaluate({.since_start = seconds(5)}), Verdict::kStop);
  auto count = StopAfterRequests(10);
  EXPECT_EQ(count->Evaluate({.started = 9}), Verdict::kContinue);
  EXPECT_EQ(count->Evaluate({.started = 10}), Verdict::kStop);
  std::atomic<bool> flag{false};
  auto on_flag = StopOnFlag(flag);
  EXPECT_EQ(on_flag->Evaluate({}), Verdict::kContinue);
  flag = true;
  EXPECT_EQ(on_flag->Evaluate({}), Verdict::kStop);
}

TEST(Termination, FailureShareWaitsForEnoughAnswers) {
  auto predicate = FailAboveFailureShare(0.5, 20);
  EXPECT_EQ(predicate->Evaluate({.answered = 19, .failed = 19}), Verdict::kContinue);
  EXPECT_EQ(predicate->Evaluate({.answered = 20, .failed = 10}), Verdict::kContinue);
  EXPECT_EQ(predicate->Evaluate({.answered = 20, .failed = 11}), Verdict::kFail);
  EXPECT_THAT(predicate->Reason(), HasSubstr("55.0 %"));
}

TEST(Termination, AnyOfPrefersTheFailure) {
  std::vector<std::unique_ptr<TerminationPredicate>> both;
  both.push_back(StopAfter(seconds(1)));
  both.push_back(FailAboveFailureShare(0.1, 1));
  auto any = AnyOf(std::move(both));
  EXPECT_EQ(any->Evaluate({}), Verdict::kContinue);
  EXPECT_EQ(any->Evaluate({.since_start = seconds(2), .answered = 4, .failed = 4}), Verdict::kFail);
  EXPECT_THAT(any->Reason(), HasSubstr("100.0 %"));
  EXPECT_EQ(any->Evaluate({.since_start = seconds(2)}), Verdict::kStop);
}

}  // namespace
}  // namespace filo::client
