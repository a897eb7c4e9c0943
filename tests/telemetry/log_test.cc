#include "server/telemetry/log.h"

#include <cstdio>
#include <fstream>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace filo::telemetry {
namespace {

using ::testing::HasSubstr;

std::vector<nlohmann::json> Lines(const std::string& path) {
  std::ifstream file(path);
  std::vector<nlohmann::json> lines;
  for (std::string line; std::getline(file, line);) lines.push_back(nlohmann::json::parse(line));
  return lines;
}

TEST(LogTest, WritesOneObjectPerLineAndRepairsText) {
  const std::string path = testing::TempDir() + "log_test.jsonl";
  std::remove(path.c_str());
  LogOptions options;
  options.file = path;
  ASSERT_TRUE(StartLog(options).ok());
  Log(Level::kInfo, "answered", {{"request_id", "line\nbreak \"quoted\""}, {"seconds", 0.5}});
  Log(Level::kWarning, "odd", {{"value", "\xff\xfe"}});
  Log(Level::kDebug, "not wanted");
  StopLog();
  const auto lines = Lines(path);
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_EQ(lines[0]["message"], "answered");
  EXPECT_EQ(lines[0]["level"], "info");
  EXPECT_EQ(lines[0]["request_id"], "line\nbreak \"quoted\"");
  EXPECT_EQ(lines[0]["seconds"], 0.5);
  EXPECT_THAT(lines[0]["time"].get<std::string>(), testing::MatchesRegex("20..-..-..T..:..:..\\.......Z"));
  EXPECT_EQ(lines[1]["level"], "warning");
}

TEST(LogTest, FloodsAreLimitedAndCounted) {
  const std::string path = testing::TempDir() + "log_flood.jsonl";
  std::remove(path.c_str());
  LogOptions options;
  options.file = path;
  options.lines_per_second_and_text = 5;
  ASSERT_TRUE(StartLog(options).ok());
  const std::uint64_t before = SuppressedLogLines();
  for (int i = 0; i < 1000; ++i) Log(Level::kWarning, "flood");
  Log(Level::kWarning, "another text is not affected");
  StopLog();
  const auto lines = Lines(path);
  // The loop may run into a second or third second of the clock, no more.
  EXPECT_GE(lines.size(), 6u);
  EXPECT_LE(lines.size(), 16u);
  EXPECT_EQ(lines.back()["message"], "another text is not affected");
  EXPECT_EQ(SuppressedLogLines() - before, 1000 - (lines.size() - 1));
}

TEST(LogTest, AFileThatCannotBeOpenedIsNamed) {
  LogOptions options;
  options.file = "/proc/no/such/file";
  const absl::Status status = StartLog(options);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("/proc/no/such/file"));
}

}  // namespace
}  // namespace filo::telemetry
