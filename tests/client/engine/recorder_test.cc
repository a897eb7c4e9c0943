#include "client/engine/recorder.h"

#include <gtest/gtest.h>

#include "client/engine/engine.h"
#include "client/report/load_json.h"

namespace filo::client {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

Outcome MakeOutcome(grpc::StatusCode code, int intended_ms, int ended_ms) {
  Outcome outcome;
  outcome.intended = outcome.started = milliseconds(intended_ms);
  outcome.ended = milliseconds(ended_ms);
  outcome.code = code;
  return outcome;
}

TEST(RunStats, QuickRefusalsDoNotMakeTheServerLookFast) {
  RunStats stats;
  for (int i = 0; i < 10; ++i) stats.RecordEnd(MakeOutcome(grpc::StatusCode::OK, 0, 100));
  for (int i = 0; i < 90; ++i) stats.RecordEnd(MakeOutcome(grpc::StatusCode::RESOURCE_EXHAUSTED, 0, 1));
  EXPECT_EQ(stats.latency.Count(), 10u);
  EXPECT_GE(stats.latency.Quantile(0.01), 100'000'000);
  EXPECT_EQ(stats.failed_latency.Count(), 90u);
  EXPECT_EQ(stats.failed, 90u);
}

TEST(RunStats, WhoRanIntoTheDeadlineOrWasNeverAnsweredWaited) {
  RunStats stats;
  stats.RecordEnd(MakeOutcome(grpc::StatusCode::DEADLINE_EXCEEDED, 0, 5000));
  Outcome unfinished = MakeOutcome(grpc::StatusCode::CANCELLED, 1000, 9000);
  unfinished.unfinished = true;
  stats.RecordEnd(unfinished);
  EXPECT_EQ(stats.latency.Count(), 2u);
  EXPECT_GE(stats.latency.Quantile(1), 8'000'000'000);
  EXPECT_EQ(stats.failed, 2u);
  EXPECT_EQ(stats.unfinished, 1u);
  EXPECT_EQ(stats.codes.count(static_cast<int>(grpc::StatusCode::CANCELLED)), 0u)
      << "the cancelling was ours";
}

TEST(RunStats, WarmUpIsInNothing) {
  RunStats stats;
  stats.RecordStart(milliseconds(-10), milliseconds(-9));
  stats.RecordEnd(MakeOutcome(grpc::StatusCode::OK, -10, 4000));
  stats.RecordNotSent(milliseconds(-5));
  EXPECT_EQ(stats.warm_up, 1u);
  EXPECT_EQ(stats.due + stats.started + stats.succeeded + stats.not_sent, 0u);
  EXPECT_EQ(stats.latency.Count(), 0u);
  EXPECT_TRUE(stats.intervals.Intervals().empty());
}

TEST(RunStats, LatencyBelongsToTheIntervalOfTheIntendedStart) {
  RunStats stats;
  stats.RecordStart(milliseconds(500), milliseconds(510));
  stats.RecordEnd(MakeOutcome(grpc::StatusCode::OK, 500, 3500));
  stats.RecordNotSent(milliseconds(1500));
  ASSERT_EQ(stats.intervals.Intervals().size(), 2u);
  EXPECT_EQ(stats.intervals.Intervals()[0].succeeded, 1u);
  EXPECT_EQ(stats.intervals.Intervals()[0].latency.Count(), 1u);
  EXPECT_EQ(stats.intervals.Intervals()[1].not_sent, 1u);
  EXPECT_DOUBLE_EQ(stats.ErrorShareOfDue(), 0.5);
}

TEST(RunStats, MergingAddsEverything) {
  RunStats a, b;
  for (RunStats* stats : {&a, &b}) {
    stats->RecordStart(Nanos(0), Nanos(0));
    stats->RecordEnd(MakeOutcome(grpc::StatusCode::OK, 0, 10));
    stats->RecordStage("maps", 0.5);
  }
  Outcome wrong = MakeOutcome(grpc::StatusCode::OK, 0, 20);
  wrong.wrong = true;
  b.RecordEnd(wrong);
  a.Merge(b);
  EXPECT_EQ(a.started, 2u);
  EXPECT_EQ(a.succeeded, 2u);
  EXPECT_EQ(a.wrong, 1u);
  EXPECT_EQ(a.failed, 1u);
  EXPECT_EQ(a.latency.Count(), 3u);
  EXPECT_EQ(a.stages["maps"].Count(), 2u);
  EXPECT_EQ(a.codes[0], 3u);
}

TEST(Bottleneck, ALateClientIsNamed) {
  RunResult result;
  for (int i = 0; i < 100; ++i) {
    result.stats.RecordStart(Nanos(0), milliseconds(i < 95 ? 0 : 50));
    result.stats.RecordEnd(MakeOutcome(grpc::StatusCode::OK, 0, 60));
  }
  EXPECT_TRUE(FindBottleneck(result, true, Nanos(0)).limited);
  EXPECT_FALSE(FindBottleneck(result, false, Nanos(0)).limited);
  EXPECT_FALSE(FindBottleneck(result, true, milliseconds(100)).limited);
  // Against answers of seconds 50 ms are nothing.
  for (int i = 0; i < 300; ++i) result.stats.RecordEnd(MakeOutcome(grpc::StatusCode::OK, 0, 2000));
  EXPECT_FALSE(FindBottleneck(result, true, Nanos(0)).limited);
}

}  // namespace
}  // namespace filo::client
