#include "client/load/rate_limiter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <fstream>

namespace filo::client {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::HasSubstr;

std::vector<double> Gaps(RateLimiter& limiter, int count) {
  std::vector<double> gaps;
  Nanos last = *limiter.Next();
  for (int i = 0; i < count; ++i) {
    const Nanos next = *limiter.Next();
    gaps.push_back(ToSeconds(next - last));
    last = next;
  }
  return gaps;
}

TEST(RateLimiter, EvenArrivalsHaveEqualGapsAndDoNotDrift) {
  auto limiter = MakeProfileLimiter(*RateProfile::Constant(300), Arrivals::kEven, 1);
  Nanos last{0};
  for (int i = 1; i <= 30'000; ++i) last = *limiter->Next();
  EXPECT_EQ(last, seconds(100));
}

TEST(RateLimiter, PoissonGapsAreExponential) {
  auto limiter = MakeProfileLimiter(*RateProfile::Constant(1000), Arrivals::kPoisson, 42);
  const auto gaps = Gaps(*limiter, 100'000);
  double mean = 0, above_mean = 0;
  for (const double gap : gaps) mean += gap / static_cast<double>(gaps.size());
  for (const double gap : gaps) above_mean += gap > 0.001 ? 1.0 / static_cast<double>(gaps.size()) : 0;
  EXPECT_NEAR(mean, 0.001, 0.00002);
  EXPECT_NEAR(above_mean, std::exp(-1.0), 0.01);
}

TEST(RateLimiter, SeedFixesTheArrivals) {
  auto a = MakeProfileLimiter(*RateProfile::Constant(10), Arrivals::kPoisson, 5);
  auto b = MakeProfileLimiter(*RateProfile::Constant(10), Arrivals::kPoisson, 5);
  auto c = MakeProfileLimiter(*RateProfile::Constant(10), Arrivals::kPoisson, 6);
  bool differs = false;
  for (int i = 0; i < 100; ++i) {
    const Nanos x = *a->Next();
    EXPECT_EQ(x, *b->Next());
    differs |= x != *c->Next();
  }
  EXPECT_TRUE(differs);
}

TEST(RateLimiter, SharesTogetherAreTheWholeSchedule) {
  const auto profile = *RateProfile::ParseRamp("5..50/10s");
  auto whole = MakeProfileLimiter(profile, Arrivals::kPoisson, 9);
  std::vector<std::unique_ptr<RateLimiter>> shares;
  for (int i = 0; i < 3; ++i) {
    shares.push_back(MakeShareLimiter(MakeProfileLimiter(profile, Arrivals::kPoisson, 9), i, 3));
  }
  for (std::size_t i = 0; i < 300; ++i) EXPECT_EQ(*whole->Next(), *shares[i % 3]->Next());
  EXPECT_NEAR(shares[0]->RateAt(seconds(20)) * 3, 50, 1e-9);
}

TEST(RateLimiter, WarmUpComesFirstAndUntilEndsIt) {
  const auto even = [](double rate) {
    return MakeProfileLimiter(*RateProfile::Constant(rate), Arrivals::kEven, 1);
  };
  auto limiter = MakeUntilLimiter(MakeWarmUpLimiter(even(2), seconds(2), even(4)), milliseconds(2600));
  for (const int ms : {500, 1000, 1500, 2250, 2500}) EXPECT_EQ(*limiter->Next(), milliseconds(ms));
  EXPECT_FALSE(limiter->Next().has_value());
  EXPECT_EQ(limiter->RateAt(seconds(1)), 2);
  EXPECT_EQ(limiter->RateAt(milliseconds(2500)), 4);
  EXPECT_EQ(limiter->RateAt(seconds(3)), 0);
}

TEST(RateLimiter, BurstsComeTogether) {
  auto limiter = ParseBurst("3/2s");
  ASSERT_TRUE(limiter.ok()) << limiter.status();
  for (const int second : {0, 0, 0, 2, 2, 2, 4}) EXPECT_EQ(*(*limiter)->Next(), seconds(second));
  for (const char* bad : {"3", "0/1s", "3/0s", "1.5/1s", "x/1s"}) EXPECT_FALSE(ParseBurst(bad).ok()) << bad;
}

TEST(RateLimiter, ReplayKeepsTheGapsAndRepeats) {
  auto limiter = MakeReplayLimiter({seconds(10), seconds(11), seconds(14)}, 2.0, 2);
  ASSERT_TRUE(limiter.ok());
  // Twice as fast; the second round follows after the mean gap of 1 s.
  for (const int ms : {0, 500, 2000, 3000, 3500, 5000}) EXPECT_EQ(*(*limiter)->Next(), milliseconds(ms));
  EXPECT_FALSE((*limiter)->Next().has_value());
  EXPECT_FALSE(MakeReplayLimiter({}, 1, 1).ok());
  EXPECT_FALSE(MakeReplayLimiter({seconds(2), seconds(1)}, 1, 1).ok());
  EXPECT_FALSE(MakeReplayLimiter({seconds(1)}, 0, 1).ok());
}

TEST(RateLimiter, ReadsATraceFile) {
  const std::string path = ::testing::TempDir() + "filo_trace_test.csv";
  std::ofstream(path) << "# recorded\n100.5,cam1\n\n 100.0 ,cam2\n101.25\n";
  const auto moments = ReadTrace(path);
  ASSERT_TRUE(moments.ok()) << moments.status();
  EXPECT_THAT(*moments, ::testing::ElementsAre(Nanos(0), milliseconds(500), milliseconds(1250)));
  std::ofstream(path) << "1.0\nabc\n";
  EXPECT_THAT(std::string(ReadTrace(path).status().message()), HasSubstr(":2"));
  std::ofstream(path) << "# nothing\n";
  EXPECT_FALSE(ReadTrace(path).ok());
  std::remove(path.c_str());
  EXPECT_EQ(ReadTrace(path).status().code(), absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace filo::client
