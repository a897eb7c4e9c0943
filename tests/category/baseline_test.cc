#include "server/category/baseline.h"

#include <gtest/gtest.h>

#include <limits>

namespace filo::category {
namespace {

TEST(BaselineTest, MeanIsSubtractedAndSurvivesTheStore) {
  BaselineBuilder builder;
  ASSERT_TRUE(builder.Add(std::vector<float>{0.0f, 0.2f, 1.0f, 0.5f, 0.f, 0.f}, 2, 3).ok());
  ASSERT_TRUE(builder.Add(std::vector<float>{0.0f, 0.4f, 1.0f, 0.7f, 0.f, 2.f}, 2, 3).ok());
  const auto baseline = builder.Finish();
  ASSERT_TRUE(baseline.ok());
  const auto back = ParseBaseline(Serialise(*baseline));
  ASSERT_TRUE(back.ok()) << back.status();
  EXPECT_EQ(back->images, 2);
  std::vector<float> map = {0.1f, 0.9f, 1.0f, 0.2f, 0.f, 1.0f};
  ASSERT_TRUE(Subtract(*back, 2, 3, map).ok());
  const float wanted[] = {0.1f, 0.6f, 0.0f, 0.0f, 0.0f, 0.5f};
  for (std::size_t i = 0; i < map.size(); ++i) EXPECT_NEAR(map[i], wanted[i], 1e-5) << i;
}

TEST(BaselineTest, OtherSizesAreRefused) {
  BaselineBuilder builder;
  EXPECT_FALSE(builder.Finish().ok());
  EXPECT_FALSE(builder.Add(std::vector<float>(5), 2, 3).ok());
  ASSERT_TRUE(builder.Add(std::vector<float>(6), 2, 3).ok());
  EXPECT_FALSE(builder.Add(std::vector<float>(6), 3, 2).ok());
  std::vector<float> map(6);
  EXPECT_EQ(Subtract(*builder.Finish(), 3, 2, map).code(), absl::StatusCode::kFailedPrecondition);
}

TEST(BaselineTest, DamagedBytesAreDataLoss) {
  BaselineBuilder builder;
  ASSERT_TRUE(builder.Add(std::vector<float>{std::numeric_limits<float>::quiet_NaN(), 1}, 1, 2).ok());
  const std::string good = Serialise(*builder.Finish());
  for (std::size_t n = 0; n < good.size(); ++n) EXPECT_FALSE(ParseBaseline(good.substr(0, n)).ok());
  EXPECT_FALSE(ParseBaseline(good + "x").ok());
  std::string huge = good;
  for (int i = 9; i < 17; ++i) huge[static_cast<std::size_t>(i)] = '\xFF';
  EXPECT_EQ(ParseBaseline(huge).status().code(), absl::StatusCode::kDataLoss);
}

}  // namespace
}  // namespace filo::category
