#include "server/serving/byte_budget.h"

#include <thread>
#include <utility>
#include <vector>

#include "gtest/gtest.h"

namespace filo::serving {
namespace {

TEST(ByteBudgetTest, RefusesBeyondTheLimitAndGivesBack) {
  ByteBudget budget(100, nullptr);
  auto first = budget.TryTake(60);
  ASSERT_TRUE(first.has_value());
  EXPECT_FALSE(budget.TryTake(41).has_value());
  EXPECT_TRUE(budget.TryTake(40).has_value());
  first->Grow(1000);  // a reply is never refused
  EXPECT_EQ(budget.held(), 1060);
  EXPECT_FALSE(budget.TryTake(1).has_value());
  first.reset();
  EXPECT_EQ(budget.held(), 0);
}

TEST(ByteBudgetTest, AnEmptyServerTakesAnything) {
  ByteBudget budget(100, nullptr);
  EXPECT_TRUE(budget.TryTake(5000).has_value());
}

TEST(ByteBudgetTest, MovingALeaseKeepsTheBooks) {
  ByteBudget budget(100, nullptr);
  {
    ByteBudget::Lease kept;
    auto taken = budget.TryTake(10);
    kept = std::move(*taken);
    taken.reset();
    EXPECT_EQ(budget.held(), 10);
  }
  EXPECT_EQ(budget.held(), 0);
}

TEST(ByteBudgetTest, ThreadsNeverPassTheLimit) {
  ByteBudget budget(10, nullptr);
  std::vector<std::jthread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&budget] {
      for (int i = 0; i < 10000; ++i) {
        const auto lease = budget.TryTake(4);
        EXPECT_TRUE(!lease.has_value() || budget.held() <= 10);
      }
    });
  }
  threads.clear();
  EXPECT_EQ(budget.held(), 0);
}

}  // namespace
}  // namespace filo::serving
