#include "server/serving/worker_pool.h"

#include <atomic>
#include <memory>

#include "gtest/gtest.h"

namespace filo::serving {
namespace {

TEST(WorkerPoolTest, EveryAcceptedJobEndsExactlyOnce) {
  const RealClock clock;
  Scheduler scheduler({.workers = 3, .max_line = 8, .max_backlog = 8}, &clock, nullptr);
  std::atomic<int> accepted{0};
  std::atomic<int> ended{0};
  auto pool = std::make_unique<WorkerPool>(&scheduler, 3);
  std::vector<std::jthread> clients;
  for (int c = 0; c < 4; ++c) {
    clients.emplace_back([&, c] {
      for (int i = 0; i < 500; ++i) {
        Job job;
        job.id = scheduler.NewId();
        job.client = std::to_string(c);
        job.priority = i % 2 == 0 ? Priority::kLine : Priority::kBacklog;
        job.run = [&ended] {
          ++ended;
          return true;
        };
        job.drop = [&ended](const absl::Status& status) {
          EXPECT_FALSE(status.ok());
          ++ended;
        };
        const std::uint64_t id = job.id;
        if (scheduler.Submit(std::move(job)).ok()) ++accepted;
        if (i % 7 == 0) scheduler.Cancel(id);
      }
    });
  }
  clients.clear();
  EXPECT_TRUE(scheduler.WaitIdle(absl::Seconds(30)));
  pool.reset();
  EXPECT_EQ(accepted, ended);
  EXPECT_GT(accepted, 0);
}

TEST(WorkerPoolTest, StoppingRunsWhatWaits) {
  const RealClock clock;
  Scheduler scheduler({.workers = 1, .max_line = 100, .max_backlog = 1}, &clock, nullptr);
  int ran = 0;
  for (int i = 0; i < 100; ++i) {
    Job job;
    job.id = scheduler.NewId();
    job.run = [&ran] { return ++ran > 0; };
    job.drop = [](const absl::Status& status) { ADD_FAILURE() << status; };
    ASSERT_TRUE(scheduler.Submit(std::move(job)).ok());
  }
  { const WorkerPool pool(&scheduler, 1); }
  EXPECT_EQ(ran, 100);
}

}  // namespace
}  // namespace filo::serving
