#include "client/load/sequencer.h"

#include <gtest/gtest.h>

#include <vector>

namespace filo::client {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

std::unique_ptr<Sequencer> EvenOpenLoop(double rate, int cap) {
  return MakeOpenLoop(MakeProfileLimiter(*RateProfile::Constant(rate), Arrivals::kEven, 1), cap);
}

TEST(OpenLoop, GivesTheIntendedStartHoweverLateItIsAsked) {
  auto sequencer = EvenOpenLoop(10, 100);
  FakeClock clock;
  EXPECT_FALSE(sequencer->Take(clock.Now()).has_value());
  EXPECT_EQ(*sequencer->NextDue(), milliseconds(100));
  clock.Advance(milliseconds(350));
  EXPECT_EQ(*sequencer->Take(clock.Now()), milliseconds(100));
  EXPECT_EQ(*sequencer->Take(clock.Now()), milliseconds(200));
  EXPECT_EQ(*sequencer->Take(clock.Now()), milliseconds(300));
  EXPECT_FALSE(sequencer->Take(clock.Now()).has_value());
}

TEST(OpenLoop, OverflowIsCountedAndNeverSentLater) {
  std::vector<Nanos> told;
  auto sequencer = MakeOpenLoop(MakeProfileLimiter(*RateProfile::Constant(100), Arrivals::kEven, 1), 5,
                                [&](Nanos intended) { told.push_back(intended); });
  FakeClock clock;
  clock.Advance(seconds(1));  // 100 are due, nothing was answered
  int taken = 0;
  while (sequencer->Take(clock.Now()).has_value()) ++taken;
  EXPECT_EQ(taken, 5);
  EXPECT_EQ(sequencer->Counts().due, 100u);
  EXPECT_EQ(sequencer->Counts().started, 5u);
  EXPECT_EQ(sequencer->Counts().not_sent, 95u);
  ASSERT_EQ(told.size(), 95u);
  EXPECT_EQ(told.front(), milliseconds(60));
  for (int i = 0; i < 5; ++i) sequencer->Done(clock.Now());
  EXPECT_EQ(sequencer->InFlight(), 0);
  EXPECT_FALSE(sequencer->Take(clock.Now()).has_value()) << "the 95 are gone";
  clock.Advance(milliseconds(10));
  EXPECT_EQ(*sequencer->Take(clock.Now()), milliseconds(1010));
}

TEST(OpenLoop, FinishesWithItsLimiter) {
  auto sequencer = MakeOpenLoop(*MakeReplayLimiter({seconds(0), seconds(1)}, 1, 1), 10);
  EXPECT_EQ(*sequencer->Take(seconds(0)), seconds(0));
  EXPECT_FALSE(sequencer->Finished());
  EXPECT_EQ(*sequencer->Take(seconds(5)), seconds(1));
  EXPECT_TRUE(sequencer->Finished());
  EXPECT_FALSE(sequencer->NextDue().has_value());
}

TEST(ClosedLoop, KeepsItsConcurrencyAndThinks) {
  auto sequencer = MakeClosedLoop(2, milliseconds(30));
  FakeClock clock;
  EXPECT_EQ(*sequencer->Take(clock.Now()), Nanos(0));
  EXPECT_EQ(*sequencer->Take(clock.Now()), Nanos(0));
  EXPECT_FALSE(sequencer->Take(clock.Now()).has_value());
  EXPECT_FALSE(sequencer->NextDue().has_value());
  clock.Advance(milliseconds(50));
  sequencer->Done(clock.Now());
  EXPECT_FALSE(sequencer->Take(clock.Now()).has_value());
  EXPECT_EQ(*sequencer->NextDue(), milliseconds(80));
  clock.Advance(milliseconds(40));
  EXPECT_EQ(*sequencer->Take(clock.Now()), milliseconds(90)) << "intended and actual start coincide";
  EXPECT_EQ(sequencer->Counts().started, 3u);
  EXPECT_EQ(sequencer->Counts().not_sent, 0u);
}

}  // namespace
}  // namespace filo::client
