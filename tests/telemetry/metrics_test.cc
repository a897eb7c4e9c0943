#include "server/telemetry/metrics.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "prometheus/text_serializer.h"
#include "server/telemetry/process_collector.h"

namespace filo::telemetry {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

std::string Text(const Metrics& metrics) {
  return prometheus::TextSerializer().Serialize(metrics.registry()->Collect());
}

TEST(MetricsTest, CountsCallsUnderTheConventionalNames) {
  Metrics metrics;
  metrics.RpcStarted("/filo.v1.DetectorService/Detect", "unary");
  metrics.RpcHandled("/filo.v1.DetectorService/Detect", "unary", "INVALID_ARGUMENT", 0.2);
  const std::string text = Text(metrics);
  constexpr char kLabels[] =
      R"(grpc_method="Detect",grpc_service="filo.v1.DetectorService",grpc_type="unary"})";
  EXPECT_THAT(text, HasSubstr(std::string("grpc_server_started_total{") + kLabels + " 1"));
  EXPECT_THAT(text, HasSubstr(std::string(R"(grpc_server_handled_total{grpc_code="INVALID_ARGUMENT",)") +
                              kLabels + " 1"));
  EXPECT_THAT(text, HasSubstr(R"(grpc_type="unary",le="0.25"} 1)"));
  EXPECT_THAT(text, HasSubstr(R"(grpc_type="unary",le="0.1"} 0)"));
  EXPECT_THAT(text, HasSubstr(R"(le="120"})"));
}

TEST(MetricsTest, CategoriesCannotGrowWithoutBound) {
  Metrics metrics(3);
  for (int i = 0; i < 10000; ++i) metrics.Detection("category-" + std::to_string(i), "ok", 0.5);
  metrics.Detection("", "none", 0.5);
  const std::string text = Text(metrics);
  EXPECT_THAT(text, HasSubstr(R"(filo_detections_total{category="category-2",verdict="ok"} 1)"));
  EXPECT_THAT(text, HasSubstr(R"(filo_detections_total{category="other",verdict="ok"} 9997)"));
  EXPECT_THAT(text, HasSubstr(R"(filo_detections_total{category="inline",verdict="none"} 1)"));
  EXPECT_THAT(text, Not(HasSubstr("category-3")));
}

TEST(MetricsTest, OnlyTheBundleThatAnswersIsShown) {
  Metrics metrics;
  metrics.SetBundle("first", "aa", "paper");
  metrics.SetBundle("second", "bb", "released");
  EXPECT_THAT(Text(metrics), Not(HasSubstr("first")));
  EXPECT_THAT(Text(metrics),
              HasSubstr(R"(filo_bundle_info{bundle="second",digest="bb",profile="released"} 1)"));
  metrics.SetBundle("second", "bb", "released");  // the same again must not remove it
  EXPECT_THAT(Text(metrics), HasSubstr(R"(filo_bundle_info{bundle="second")"));
}

TEST(ProcessCollectorTest, SeesThisProcess) {
  const std::string text = prometheus::TextSerializer().Serialize(ProcessCollector().Collect());
  for (const char* name :
       {"process_cpu_seconds_total ", "process_resident_memory_bytes ", "process_open_fds ",
        "process_max_fds ", "process_threads ", "process_start_time_seconds "}) {
    EXPECT_THAT(text, HasSubstr(std::string("\n") + name));
  }
}

}  // namespace
}  // namespace filo::telemetry
