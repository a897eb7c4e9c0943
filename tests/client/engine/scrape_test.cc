#include "client/engine/scrape.h"

#include <gtest/gtest.h>

namespace filo::client {
namespace {

TEST(ParseMetrics, SumsOverLabelsAndLeavesBucketsOut) {
  const auto samples = ParseMetrics(
      "# HELP filo_queue_depth Waiting.\n# TYPE filo_queue_depth gauge\n"
      "filo_queue_depth{priority=\"line\"} 3\nfilo_queue_depth{priority=\"back } log\"} 4\n"
      "process_cpu_seconds_total 12.5\nx_bucket{le=\"1\"} 7\nwith_time 5 "
      "1700000000\nbroken\nnot_a_number{a=\"b\"} abc\n");
  EXPECT_EQ(samples.size(), 3u);
  EXPECT_EQ(samples.at("filo_queue_depth"), 7);
  EXPECT_EQ(samples.at("process_cpu_seconds_total"), 12.5);
  EXPECT_EQ(samples.at("with_time"), 5);
}

TEST(HttpGet, SaysWhyNot) {
  const auto body = HttpGet("http://127.0.0.1:1/metrics", std::chrono::seconds(1));
  EXPECT_EQ(body.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_FALSE(HttpGet("file:///etc/hostname", std::chrono::seconds(1)).ok()) << "only http and https";
}

}  // namespace
}  // namespace filo::client
