#include "server/serving/cost_model.h"

#include "gtest/gtest.h"

namespace filo::serving {
namespace {

const absl::Time kStart = absl::FromUnixSeconds(1'700'000'000);

TEST(CostModelTest, NothingMeasuredCostsNothing) {
  EXPECT_EQ(CostModel().Estimate(kStart), absl::ZeroDuration());
}

TEST(CostModelTest, OneSlowRequestDoesNotRaiseTheEstimate) {
  CostModel model;
  for (int i = 0; i < 8; ++i) model.Observe(kStart, absl::Seconds(1), 1);
  model.Observe(kStart, absl::Seconds(100), 1);
  EXPECT_EQ(model.Estimate(kStart), absl::Seconds(1));
}

TEST(CostModelTest, CountsPerImage) {
  CostModel model;
  model.Observe(kStart, absl::Seconds(8), 4);
  EXPECT_EQ(model.Estimate(kStart), absl::Seconds(2));
}

TEST(CostModelTest, ForgetsSoThatItCannotRefuseForever) {
  CostModel model;
  model.Observe(kStart, absl::Seconds(100), 1);
  EXPECT_EQ(model.Estimate(kStart + absl::Seconds(59)), absl::Seconds(100));
  EXPECT_EQ(model.Estimate(kStart + absl::Seconds(61)), absl::ZeroDuration());
}

TEST(CostModelTest, FollowsAFasterMachine) {
  CostModel model;
  for (int i = 0; i < 1000; ++i) model.Observe(kStart, absl::Seconds(10), 1);
  for (int i = 0; i < 64; ++i) model.Observe(kStart, absl::Seconds(1), 1);
  EXPECT_EQ(model.Estimate(kStart), absl::Seconds(1));
}

}  // namespace
}  // namespace filo::serving
