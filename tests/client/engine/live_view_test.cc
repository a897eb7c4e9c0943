#include "client/command/live_view.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "client/report/chart.h"

namespace filo::client {
namespace {

using std::chrono::seconds;
using ::testing::HasSubstr;

TEST(LiveScreenText, ShowsRatesErrorsAndQuantiles) {
  RunStats stats;
  for (int second = 0; second < 3; ++second) {
    Outcome outcome;
    outcome.intended = outcome.started = seconds(second);
    outcome.ended = outcome.intended + std::chrono::milliseconds(10 * (second + 1));
    stats.RecordStart(outcome.intended, outcome.started);
    stats.RecordEnd(outcome);
  }
  const std::string text = LiveScreen::Text({seconds(3), 7, 50, stats}, 1, 0.5);
  EXPECT_THAT(text, HasSubstr("wanted 50.0/s   succeeding 4.0/s   7 in flight"));
  EXPECT_THAT(text, HasSubstr("3 succeeded   0 failed"));
  EXPECT_THAT(text, HasSubstr("p50 20.0 ms"));
  EXPECT_THAT(text, HasSubstr("█"));
  EXPECT_THAT(LiveScreen::Text({-seconds(2), 1, 50, stats}, 0, 1), HasSubstr("warming up, 2.00 s left"));
}

TEST(Chart, TicksAreRoundAndGapsAreGaps) {
  EXPECT_THAT(NiceTicks(0, 10, 5), ::testing::ElementsAre(0, 2, 4, 6, 8, 10));
  EXPECT_TRUE(NiceTicks(1, 1, 5).empty());
  const auto plain = [](double) { return std::string("t"); };
  EXPECT_EQ(LineChart({{"a", "red", {}}}, {"x", false, false, plain, plain, {}, 200}), "");
  // Zero cannot be shown on a log scale: the line has a gap there, and no "nan" or "inf" reaches the page.
  const std::string svg =
      LineChart({{"a", "red", {{0, 1}, {1, 0}, {2, 100}}}}, {"x", true, false, plain, plain, {}, 200});
  EXPECT_EQ(svg.find("nan"), std::string::npos);
  EXPECT_EQ(svg.find("inf"), std::string::npos);
}

}  // namespace
}  // namespace filo::client
