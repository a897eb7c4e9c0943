#include "client/load/hgrm.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <sstream>
#include <string>
#include <vector>

namespace filo::client {
namespace {

using ::testing::HasSubstr;

struct Row {
  double value, percentile;
  std::uint64_t count;
};

std::vector<Row> ParseRows(const std::string& text) {
  std::vector<Row> rows;
  std::istringstream lines(text);
  std::string line;
  std::getline(lines, line);
  while (std::getline(lines, line)) {
    std::istringstream fields(line);
    Row row{};
    if (line.empty() || line[0] == '#') continue;
    fields >> row.value >> row.percentile >> row.count;
    rows.push_back(row);
  }
  return rows;
}

TEST(Hgrm, EveryRowIsTheQuantileThatItNames) {
  Histogram histogram;
  for (int i = 1; i <= 100'000; ++i) histogram.Record(static_cast<std::int64_t>(i) * i);
  const auto rows = ParseRows(ToHgrm(histogram, 1.0));
  ASSERT_GT(rows.size(), 50u);
  EXPECT_EQ(rows.front().percentile, 0);
  EXPECT_EQ(rows.back().percentile, 1);
  EXPECT_EQ(rows.back().count, 100'000u);
  for (const Row& row : rows) {
    const double exact_index = std::max(1.0, std::ceil(row.percentile * 100'000 - 1e-6));
    EXPECT_GE(row.value, exact_index * exact_index);
    EXPECT_LE(row.value, exact_index * exact_index * (1 + 2 * histogram.RelativeErrorBound()) + 1);
  }
}

// The rows are those that HdrHistogram's own Python package (hdrhistogram 0.10.8,
// output_percentile_distribution, three digits) prints for the same values; in the footer ours are exact.
TEST(Hgrm, EqualsTheReferenceImplementation) {
  Histogram histogram;
  for (const int value : {1000, 2000, 3000, 4000, 1000000}) histogram.Record(value);
  EXPECT_EQ(ToHgrm(histogram, 1000.0, 1), R"(       Value     Percentile TotalCount 1/(1-Percentile)

       1.000 0.000000000000          1           1.00
       3.001 0.500000000000          3           2.00
       4.001 0.750000000000          4           4.00
    1000.447 0.875000000000          5           8.00
    1000.447 1.000000000000          5
#[Mean    =      202.000, StdDeviation   =      399.078]
#[Max     =     1000.000, Total count    =            5]
#[Buckets =           10, SubBuckets     =         2048]
)");
}

TEST(Hgrm, EmptyHistogramHasHeaderAndFooterOnly) {
  const std::string text = ToHgrm(Histogram());
  EXPECT_TRUE(ParseRows(text).empty());
  EXPECT_THAT(text, HasSubstr("Total count    =            0"));
}

}  // namespace
}  // namespace filo::client
