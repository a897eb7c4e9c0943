#include "client/load/slo.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace filo::client {
namespace {

using ::testing::HasSubstr;

TEST(Slo, ParsesAndEvaluatesEveryKind) {
  const auto objectives = ParseObjectives("p99<200ms,errors<1%,mean<0.1s,max<1s,rate>50");
  ASSERT_TRUE(objectives.ok()) << objectives.status();
  Histogram latency;
  latency.Record(50'000'000, 98);
  latency.Record(300'000'000, 2);
  const auto results = Evaluate(*objectives, {&latency, 0.005, 49.0});
  ASSERT_EQ(results.size(), 5u);
  EXPECT_FALSE(results[0].held);
  EXPECT_TRUE(results[1].held);
  EXPECT_TRUE(results[2].held);
  EXPECT_TRUE(results[3].held);
  EXPECT_FALSE(results[4].held);
  EXPECT_FALSE(AllHeld(results));
  EXPECT_EQ(Describe(results[0]), "p99<200ms: measured 300 ms, NOT HELD");
  EXPECT_EQ(Describe(results[1]), "errors<1%: measured 0.500 %, held");
}

TEST(Slo, NothingMeasuredHoldsNoLatencyLimit) {
  const Histogram empty;
  EXPECT_FALSE(AllHeld(Evaluate(*ParseObjectives("p50<1h"), {&empty, 0, 0})));
  EXPECT_TRUE(AllHeld({}));
}

TEST(Slo, NamesWhatIsWrong) {
  for (const char* bad :
       {"", "p99", "p99<200", "p101<1s", "q99<1s", "errors>1%", "rate<5", "p99<1s,", "p99>1s"}) {
    const auto parsed = ParseObjectives(bad);
    ASSERT_FALSE(parsed.ok()) << bad;
    EXPECT_THAT(std::string(parsed.status().message()), HasSubstr("--slo"));
  }
}

}  // namespace
}  // namespace filo::client
