#include "client/load/parse.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace filo::client {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::HasSubstr;

TEST(ParseDuration, KnowsItsUnits) {
  EXPECT_EQ(*ParseDuration("d", "250ms"), milliseconds(250));
  EXPECT_EQ(*ParseDuration("d", "1.5s"), milliseconds(1500));
  EXPECT_EQ(*ParseDuration("d", "2m"), seconds(120));
  EXPECT_EQ(*ParseDuration("d", "1h"), seconds(3600));
  EXPECT_EQ(*ParseDuration("d", "40us"), Nanos(40'000));
  EXPECT_EQ(*ParseDuration("d", "0"), Nanos(0));
}

TEST(ParseDuration, RefusesWhatHasNoUnitOrNoSense) {
  for (const char* bad : {"", "5", "ms", "-1s", "nan s", "5 s", "1e9h", "infs", "3days"}) {
    const auto parsed = ParseDuration("--duration", bad);
    ASSERT_FALSE(parsed.ok()) << bad;
    EXPECT_THAT(std::string(parsed.status().message()), HasSubstr("--duration"));
  }
}

TEST(ParseShare, TakesFractionsAndPercent) {
  EXPECT_DOUBLE_EQ(*ParseShare("s", "0.05"), 0.05);
  EXPECT_DOUBLE_EQ(*ParseShare("s", "5%"), 0.05);
  for (const char* bad : {"", "1.5", "101%", "-1%", "5 %"}) EXPECT_FALSE(ParseShare("s", bad).ok()) << bad;
}

TEST(FormatDuration, ThreeDigitsAndTheRightUnit) {
  EXPECT_EQ(FormatDuration(Nanos(0)), "0 s");
  EXPECT_EQ(FormatDuration(Nanos(850)), "850 ns");
  EXPECT_EQ(FormatDuration(Nanos(12'345)), "12.3 us");
  EXPECT_EQ(FormatDuration(Nanos(1'234'567)), "1.23 ms");
  EXPECT_EQ(FormatDuration(seconds(75)), "75.0 s");
}

}  // namespace
}  // namespace filo::client
