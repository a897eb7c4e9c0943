#include "server/telemetry/ids.h"

#include <set>

#include "gtest/gtest.h"

namespace filo::telemetry {
namespace {

TEST(MakeIdTest, IsUniqueAndSortsByTime) {
  std::set<std::string> seen;
  for (int i = 0; i < 10000; ++i) seen.insert(MakeId(absl::FromUnixMillis(1700000000000)));
  EXPECT_EQ(seen.size(), 10000u);
  EXPECT_LT(*seen.rbegin(), MakeId(absl::FromUnixMillis(1700000000001)));
  for (const std::string& id : seen) ASSERT_EQ(id.size(), 26u);
}

TEST(MakeIdTest, TimeIsThatOfUlid) {
  // The example of the ULID specification: 1469918176385 ms.
  EXPECT_EQ(MakeId(absl::FromUnixMillis(1469918176385)).substr(0, 10), "01ARYZ6S41");
}

}  // namespace
}  // namespace filo::telemetry
