#include "server/serving/scheduler.h"

#include <string>
#include <vector>

#include "fmt/format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "prometheus/text_serializer.h"
#include "server/serving/errors.h"
#include "tests/serving/fake_clock.h"

namespace filo::serving {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// Pumps a scheduler by hand; what happened stands in `log`.
class SchedulerTest : public testing::Test {
 protected:
  void Make(Scheduler::Options options) { scheduler_.emplace(options, &clock_, &metrics_); }

  absl::Status Submit(const std::string& name, Job job = {}) {
    job.id = scheduler_->NewId();
    ids_[name] = job.id;
    job.run = [this, name] {
      log_.push_back(name);
      clock_.Advance(cost_);
      return true;
    };
    job.drop = [this, name](const absl::Status& status) {
      log_.push_back(fmt::format("{}:{}", name, absl::StatusCodeToString(status.code())));
      dropped_ = status;
    };
    return scheduler_->Submit(std::move(job));
  }
  void RunAll() {
    while (scheduler_->RunNext()) {
    }
  }
  static Job Line(const std::string& client, absl::Time deadline = absl::InfiniteFuture()) {
    Job job;
    job.client = client;
    job.deadline = deadline;
    return job;
  }
  static Job Backlog(const std::string& client, double units = 1) {
    Job job;
    job.client = client;
    job.priority = Priority::kBacklog;
    job.units = units;
    return job;
  }
  std::string Metrics() { return prometheus::TextSerializer().Serialize(metrics_.registry()->Collect()); }

  FakeClock clock_;
  telemetry::Metrics metrics_;
  std::optional<Scheduler> scheduler_;
  std::map<std::string, std::uint64_t> ids_;
  std::vector<std::string> log_;
  absl::Status dropped_;
  absl::Duration cost_ = absl::Seconds(1);
};

TEST_F(SchedulerTest, TheLineGoesBeforeTheBacklog) {
  Make({});
  ASSERT_TRUE(Submit("b1", Backlog("a")).ok());
  ASSERT_TRUE(Submit("l1", Line("a")).ok());
  ASSERT_TRUE(Submit("b2", Backlog("b")).ok());
  ASSERT_TRUE(Submit("l2", Line("b")).ok());
  RunAll();
  EXPECT_THAT(log_, ElementsAre("l1", "l2", "b1", "b2"));
}

TEST_F(SchedulerTest, ClientsTakeTurnsHoweverManyJobsOneHas) {
  Make({});
  for (int i = 1; i <= 4; ++i) ASSERT_TRUE(Submit(fmt::format("a{}", i), Line("a")).ok());
  ASSERT_TRUE(Submit("b1", Line("b")).ok());
  ASSERT_TRUE(Submit("b2", Line("b")).ok());
  RunAll();
  EXPECT_THAT(log_, ElementsAre("a1", "b1", "a2", "b2", "a3", "a4"));
}

TEST_F(SchedulerTest, ANewClientDoesNotWaitForWhatAnotherHasQueued) {
  Make({});
  for (int i = 1; i <= 5; ++i) ASSERT_TRUE(Submit(fmt::format("a{}", i), Line("a")).ok());
  scheduler_->RunNext();
  scheduler_->RunNext();
  ASSERT_TRUE(Submit("b1", Line("b")).ok());
  RunAll();
  EXPECT_THAT(log_, ElementsAre("a1", "a2", "b1", "a3", "a4", "a5"));
}

TEST_F(SchedulerTest, SharesAreCountedInImages) {
  Make({});
  ASSERT_TRUE(Submit("a1", Backlog("a", 3)).ok());
  ASSERT_TRUE(Submit("a2", Backlog("a", 3)).ok());
  for (int i = 1; i <= 4; ++i) ASSERT_TRUE(Submit(fmt::format("b{}", i), Backlog("b")).ok());
  RunAll();
  EXPECT_THAT(log_, ElementsAre("a1", "b1", "b2", "b3", "a2", "b4"));
}

TEST_F(SchedulerTest, AFullQueueRefusesAtOnceAndSaysWhenToComeBack) {
  Make({.workers = 1, .max_line = 2, .max_backlog = 1});
  ASSERT_TRUE(Submit("measured", Line("a")).ok());
  RunAll();  // costs 1 s
  ASSERT_TRUE(Submit("a1", Line("a")).ok());
  ASSERT_TRUE(Submit("a2", Line("a")).ok());
  const absl::Status status = Submit("a3", Line("a"));
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(GetReason(status), "QUEUE_FULL");
  EXPECT_EQ(GetRetryDelay(status), absl::Seconds(1));
  EXPECT_TRUE(Submit("b", Backlog("a")).ok()) << "the backlog has a queue of its own";
  EXPECT_THAT(Metrics(), HasSubstr(R"(filo_admission_refused_total{reason="queue_full"} 1)"));
  EXPECT_THAT(Metrics(), HasSubstr(R"(filo_queue_depth{priority="line"} 2)"));
  EXPECT_THAT(Metrics(), HasSubstr(R"(filo_queue_depth{priority="backlog"} 1)"));
}

TEST_F(SchedulerTest, AClientThatFillsTheQueueMakesRoomForAnother) {
  Make({.workers = 1, .max_line = 3, .max_backlog = 1});
  for (int i = 1; i <= 3; ++i) ASSERT_TRUE(Submit(fmt::format("a{}", i), Line("a")).ok());
  ASSERT_TRUE(Submit("b1", Line("b")).ok());
  EXPECT_THAT(log_, ElementsAre("a3:RESOURCE_EXHAUSTED"));
  EXPECT_EQ(GetReason(dropped_), "QUEUE_FULL");
  EXPECT_TRUE(GetRetryDelay(dropped_).has_value());
  // Now a has two and b one; a second one of b's would not take from a's equal share.
  EXPECT_EQ(Submit("b2", Line("b")).code(), absl::StatusCode::kResourceExhausted);
  RunAll();
  EXPECT_THAT(log_, ElementsAre("a3:RESOURCE_EXHAUSTED", "a1", "b1", "a2"));
}

TEST_F(SchedulerTest, ADeadlineThatCannotBeMetIsRefusedWhenItComes) {
  Make({});
  EXPECT_TRUE(Submit("unknown cost", Line("a", clock_.Now() + absl::Milliseconds(1))).ok());
  RunAll();
  const absl::Status status = Submit("short", Line("a", clock_.Now() + absl::Milliseconds(900)));
  EXPECT_EQ(status.code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(GetReason(status), "DEADLINE_TOO_SHORT");
  EXPECT_THAT(std::string(status.message()), HasSubstr("would take about 1.000 s"));
  ASSERT_TRUE(Submit("enough", Line("a", clock_.Now() + absl::Milliseconds(1100))).ok());
  // The one that waits costs a second too.
  EXPECT_FALSE(Submit("behind", Line("a", clock_.Now() + absl::Milliseconds(1900))).ok());
  EXPECT_TRUE(Submit("behind, patient", Line("a", clock_.Now() + absl::Milliseconds(2100))).ok());
  EXPECT_THAT(Metrics(), HasSubstr(R"(filo_dropped_total{reason="deadline",where="enqueue"} 2)"));
}

TEST_F(SchedulerTest, ALineJobDoesNotCountTheBacklogBeforeIt) {
  Make({});
  ASSERT_TRUE(Submit("measured", Line("a")).ok());
  RunAll();
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(Submit("b", Backlog("a")).ok());
  EXPECT_TRUE(Submit("line", Line("a", clock_.Now() + absl::Milliseconds(1500))).ok());
}

TEST_F(SchedulerTest, AJobThatHasBecomeTooLateIsDroppedNotComputed) {
  Make({});
  ASSERT_TRUE(Submit("slow", Line("a")).ok());
  ASSERT_TRUE(Submit("late", Line("a", clock_.Now() + absl::Milliseconds(500))).ok());
  RunAll();
  EXPECT_THAT(log_, ElementsAre("slow", "late:DEADLINE_EXCEEDED"));
  EXPECT_EQ(GetReason(dropped_), "DEADLINE_PASSED");
  EXPECT_THAT(Metrics(), HasSubstr(R"(filo_dropped_total{reason="deadline",where="dequeue"} 1)"));
}

TEST_F(SchedulerTest, AfterASlowSpellRequestsAreTriedAgain) {
  Make({});
  cost_ = absl::Seconds(100);
  ASSERT_TRUE(Submit("slow", Line("a")).ok());
  RunAll();
  EXPECT_FALSE(Submit("refused", Line("a", clock_.Now() + absl::Seconds(10))).ok());
  clock_.Advance(absl::Seconds(61));
  EXPECT_TRUE(Submit("tried", Line("a", clock_.Now() + absl::Seconds(10))).ok());
}

TEST_F(SchedulerTest, ACancelledJobGivesItsPlaceBack) {
  Make({.workers = 1, .max_line = 1, .max_backlog = 1});
  ASSERT_TRUE(Submit("one", Line("a")).ok());
  scheduler_->Cancel(ids_["one"]);
  EXPECT_THAT(log_, ElementsAre("one:CANCELLED"));
  ASSERT_TRUE(Submit("two", Line("a")).ok());
  RunAll();
  scheduler_->Cancel(ids_["two"]);  // gone already
  EXPECT_THAT(log_, ElementsAre("one:CANCELLED", "two"));
}

TEST_F(SchedulerTest, DrainingRefusesNewJobsAndFinishesTheOld) {
  Make({});
  ASSERT_TRUE(Submit("one", Line("a")).ok());
  scheduler_->Drain();
  const absl::Status status = Submit("two", Line("a"));
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(GetReason(status), "DRAINING");
  EXPECT_FALSE(scheduler_->WaitIdle(absl::ZeroDuration()));
  RunAll();
  EXPECT_TRUE(scheduler_->WaitIdle(absl::ZeroDuration()));
  EXPECT_THAT(log_, ElementsAre("one"));
}

TEST_F(SchedulerTest, WhatStillWaitsWhenTheGraceIsOverIsDropped) {
  Make({});
  ASSERT_TRUE(Submit("one", Line("a")).ok());
  ASSERT_TRUE(Submit("two", Backlog("a")).ok());
  scheduler_->DropWaiting(absl::UnavailableError("stopping"));
  EXPECT_THAT(log_, ElementsAre("one:UNAVAILABLE", "two:UNAVAILABLE"));
  EXPECT_EQ(scheduler_->waiting(), 0);
  EXPECT_FALSE(scheduler_->RunNext());
}

TEST_F(SchedulerTest, WorkThatWasNotDoneWholeTeachesNothing) {
  Make({});
  Job job = Line("a");
  job.id = scheduler_->NewId();
  job.run = [this] {
    clock_.Advance(absl::Milliseconds(1));
    return false;
  };
  job.drop = [](const absl::Status&) {};
  ASSERT_TRUE(scheduler_->Submit(std::move(job)).ok());
  RunAll();
  EXPECT_EQ(scheduler_->estimated_cost(), absl::ZeroDuration());
  EXPECT_THAT(log_, IsEmpty());
}

}  // namespace
}  // namespace filo::serving
