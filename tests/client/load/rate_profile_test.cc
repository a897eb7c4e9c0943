#include "client/load/rate_profile.h"

#include <gtest/gtest.h>

namespace filo::client {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

TEST(RateProfile, ConstantCountsUpLinearly) {
  const auto profile = RateProfile::Constant(200);
  ASSERT_TRUE(profile.ok());
  EXPECT_DOUBLE_EQ(profile->RateAt(seconds(5)), 200);
  EXPECT_DOUBLE_EQ(profile->ExpectedBy(seconds(5)), 1000);
  EXPECT_EQ(*profile->WhenExpected(1), milliseconds(5));
  EXPECT_FALSE(profile->Length().has_value());
  EXPECT_FALSE(RateProfile::Constant(0).ok());
  EXPECT_FALSE(RateProfile::Constant(1e9).ok());
}

TEST(RateProfile, RampRisesAndThenStays) {
  const auto profile = RateProfile::ParseRamp("10..110/10s");
  ASSERT_TRUE(profile.ok()) << profile.status();
  EXPECT_DOUBLE_EQ(profile->RateAt(seconds(0)), 10);
  EXPECT_DOUBLE_EQ(profile->RateAt(seconds(5)), 60);
  EXPECT_DOUBLE_EQ(profile->RateAt(seconds(100)), 110);
  EXPECT_DOUBLE_EQ(profile->ExpectedBy(seconds(10)), 600);
  EXPECT_NEAR(ToSeconds(*profile->WhenExpected(710)), 11, 1e-9);
}

TEST(RateProfile, WhenExpectedInvertsExpectedByEverywhere) {
  for (const char* text : {"0..100/10s", "100..0.5/10s", "50..50/2s"}) {
    const auto profile = RateProfile::ParseRamp(text);
    ASSERT_TRUE(profile.ok());
    for (int count = 1; count < 400; count += 7) {
      EXPECT_NEAR(profile->ExpectedBy(*profile->WhenExpected(count)), count, 1e-5) << text;
    }
  }
}

TEST(RateProfile, StepsEndAndMaySendNothingInBetween) {
  const auto profile = RateProfile::ParseSteps("10/2s,0/3s,20/1s");
  ASSERT_TRUE(profile.ok()) << profile.status();
  EXPECT_EQ(*profile->Length(), seconds(6));
  EXPECT_DOUBLE_EQ(profile->RateAt(seconds(3)), 0);
  EXPECT_EQ(*profile->WhenExpected(20), seconds(2));
  EXPECT_EQ(*profile->WhenExpected(21), milliseconds(5050));
  EXPECT_TRUE(profile->WhenExpected(40).has_value());
  EXPECT_FALSE(profile->WhenExpected(41).has_value());
}

TEST(RateProfile, RefusesNonsense) {
  for (const char* bad :
       {"", "10", "10/", "10..20", "10..20/5", "a..b/5s", "5..0/1s", "-1..5/1s", "1..2/0s"}) {
    EXPECT_FALSE(RateProfile::ParseRamp(bad).ok()) << bad;
  }
  for (const char* bad : {"", "10", "10/1s,", "0/5s", "-5/1s", "5/0s"})
    EXPECT_FALSE(RateProfile::ParseSteps(bad).ok()) << bad;
}

}  // namespace
}  // namespace filo::client
