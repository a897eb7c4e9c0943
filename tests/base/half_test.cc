#include "server/base/half.h"

#include <gtest/gtest.h>

#include <cmath>

namespace filo {
namespace {

TEST(HalfTest, RoundTripsEveryValueAndRoundsToEven) {
  for (int half = 0; half < 0x10000; ++half) {
    const float value = HalfToFloat(static_cast<std::uint16_t>(half));
    if (std::isnan(value)) continue;
    ASSERT_EQ(FloatToHalf(value), half);
  }
  EXPECT_EQ(FloatToHalf(1.0f + 0x1p-11f), FloatToHalf(1.0f));                // tie, even below
  EXPECT_EQ(FloatToHalf(1.0f + 3 * 0x1p-11f), FloatToHalf(1.0f + 0x1p-9f));  // tie, even above
  EXPECT_EQ(FloatToHalf(0x1p-25f), 0);  // tie below the smallest subnormal
  EXPECT_EQ(FloatToHalf(65519.0f), FloatToHalf(65504.0f));
  EXPECT_EQ(FloatToHalf(65520.0f), 0x7c00);
}

}  // namespace
}  // namespace filo
