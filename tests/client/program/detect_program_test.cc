// The real filo-client against a real gRPC server whose answers are known.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <sstream>
#include <vector>

#include "nlohmann/json.hpp"
#include "tests/client/program/process.h"

namespace filo::client {
namespace {

using ::testing::ContainsRegex;
using ::testing::HasSubstr;
using ::testing::Not;

const std::string kPhotos = FILO_TEST_DATA "/hazelnut";  // NOLINT

std::vector<std::string> Lines(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

class DetectProgram : public ::testing::Test {
 protected:
  ProcessResult Detect(std::vector<std::string> arguments, const std::vector<std::string>& environment = {},
                       const std::string& input = "") {
    arguments.insert(arguments.begin(), {"detect", "--server", server_.address()});
    return RunProgram("filo-client", arguments, environment, input);
  }
  ServerProcess server_{"filo_fake_server", {}};
};

TEST_F(DetectProgram, TableForPeople) {
  const auto run = Detect({"--category", "hazelnut", kPhotos + "/good/04.jpg", kPhotos + "/colour/*.jpg"});
  EXPECT_EQ(run.exit_code, 0) << run.err;
  const auto lines = Lines(run.out);
  ASSERT_EQ(lines.size(), 5u);
  EXPECT_THAT(lines[0], HasSubstr("VERDICT"));
  EXPECT_THAT(lines[1], ContainsRegex("good/04.jpg +- +0\\.2564 +top left +1 +crack \\(0\\.75\\)"));
  EXPECT_THAT(lines[2], HasSubstr("colour/00.jpg"));
  EXPECT_THAT(lines[4], HasSubstr("3 photographs"));
}

TEST_F(DetectProgram, JsonLinesHoldTheWholeResultInTheOrderGiven) {
  const auto run = Detect({"-c", "hazelnut", "--json", "-r", kPhotos});
  EXPECT_EQ(run.exit_code, 0) << run.err;
  const auto lines = Lines(run.out);
  ASSERT_EQ(lines.size(), 4u);
  const auto first = nlohmann::json::parse(lines[0]);
  EXPECT_THAT(first["file"].get<std::string>(), HasSubstr("colour/00.jpg"));
  EXPECT_NEAR(first["result"]["score"].get<double>(), 0.6483, 1e-3);
  EXPECT_EQ(first["result"]["boxes"][0]["phrase"], "crack");
  EXPECT_EQ(first["verdict"], "");
  EXPECT_THAT(nlohmann::json::parse(lines[3])["file"].get<std::string>(), HasSubstr("good/28.jpg"));
}

TEST_F(DetectProgram, ThresholdGivesVerdictAndExitCode) {
  const auto found = Detect({"-c", "hazelnut", "--threshold", "0.5", "--csv", "-r", kPhotos});
  EXPECT_EQ(found.exit_code, 1) << found.err;
  EXPECT_THAT(found.out, ContainsRegex("colour/00.jpg,NG,0\\.648"));
  EXPECT_THAT(found.out, ContainsRegex("good/04.jpg,OK,0\\.256"));
  EXPECT_EQ(Detect({"-c", "hazelnut", "--threshold", "0.9", "-r", kPhotos}).exit_code, 0);
}

TEST_F(DetectProgram, InlineCategoryReachesTheServer) {
  const auto run = Detect({"--class-name", "hazel nut", "-d", "a drilled hole", "-d", "a cut", "--json",
                           kPhotos + "/good/04.jpg"});
  EXPECT_EQ(run.exit_code, 0) << run.err;
  const auto answer = nlohmann::json::parse(run.out);
  EXPECT_EQ(answer["result"]["boxes"][0]["phrase"], "a drilled hole");
  EXPECT_EQ(answer["result"]["category"]["class_name"], "hazel nut");
}

TEST_F(DetectProgram, RefusedAndMissingPhotographsSayWhyAndTheRestGoesOn) {
  const std::string folder = ScratchFolder();
  WriteWholeFile(folder + "/bad.jpg", "junk, not a photograph");
  const auto run = Detect({"-c", "hazelnut", "--json", folder + "/bad.jpg", kPhotos + "/good/04.jpg"});
  EXPECT_EQ(run.exit_code, 3);
  const auto lines = Lines(run.out);
  ASSERT_EQ(lines.size(), 2u);
  const auto refused = nlohmann::json::parse(lines[0]);
  EXPECT_EQ(refused["error"]["code"], "INVALID_ARGUMENT");
  EXPECT_EQ(refused["error"]["violations"][0]["field"], "image");
  EXPECT_THAT(run.err, HasSubstr("is not an image"));
  EXPECT_TRUE(nlohmann::json::parse(lines[1]).contains("result"));
}

TEST_F(DetectProgram, StandardInput) {
  const auto run = Detect({"-c", "hazelnut", "--json", "-"}, {}, ReadWholeFile(kPhotos + "/good/04.jpg"));
  EXPECT_EQ(run.exit_code, 0) << run.err;
  EXPECT_EQ(nlohmann::json::parse(run.out)["file"], "stdin");
  EXPECT_NEAR(nlohmann::json::parse(run.out)["result"]["score"].get<double>(), 0.2564, 1e-3);
}

TEST_F(DetectProgram, PicturesAndReportAreWritten) {
  const std::string folder = ScratchFolder();
  const auto run = Detect(
      {"-c", "hazelnut", "-r", kPhotos, "--heatmap-dir", folder + "/maps", "--report", folder + "/out.html"});
  EXPECT_EQ(run.exit_code, 0) << run.err;
  for (const char* name : {"00.png", "07.png", "04.png", "28.png"}) {
    EXPECT_THAT(ReadWholeFile(folder + "/maps/" + name), HasSubstr("IHDR")) << name;
  }
  const std::string page = ReadWholeFile(folder + "/out.html");
  EXPECT_THAT(page, HasSubstr("<!doctype html>"));
  EXPECT_THAT(page, HasSubstr("colour/07.jpg"));
  EXPECT_THAT(page, HasSubstr("data:image/jpeg;base64,"));
  EXPECT_THAT(page, Not(HasSubstr("http://")));
  EXPECT_THAT(page, Not(HasSubstr("https://")));
  const auto two = Detect({"-c", "hazelnut", "-r", kPhotos, "--heatmap", folder + "/one.png"});
  EXPECT_EQ(two.exit_code, 2);
  EXPECT_THAT(two.err, HasSubstr("--heatmap-dir"));
}

TEST_F(DetectProgram, FlagBeforeEnvironmentBeforeFile) {
  const std::string config = ScratchFolder() + "/filo.conf";
  WriteWholeFile(config, "# plant 3\nserver = 127.0.0.1:1\nretries = 0\n[detect]\ncategory = from-file\n");
  const auto category = [&](std::vector<std::string> arguments, const std::vector<std::string>& environment) {
    arguments.insert(arguments.end(), {"--config", config, "--json", kPhotos + "/good/04.jpg"});
    const auto run = Detect(std::move(arguments), environment);
    EXPECT_EQ(run.exit_code, 0) << run.err;
    const auto answer = nlohmann::json::parse(run.out, nullptr, false);
    return answer.value("/result/category/class_name"_json_pointer, std::string());
  };
  EXPECT_EQ(category({}, {}), "from-file");
  EXPECT_EQ(category({}, {"FILO_CATEGORY=from-environment"}), "from-environment");
  EXPECT_EQ(category({"-c", "from-flag"}, {"FILO_CATEGORY=from-environment"}), "from-flag");
}

TEST(ClientProgram, WrongUsageIsExitCodeTwoAndSaysWhatToDo) {
  const auto usage = [](std::vector<std::string> arguments) { return RunProgram("filo-client", arguments); };
  EXPECT_EQ(usage({}).exit_code, 2);
  EXPECT_EQ(usage({"detect", "--no-such-flag"}).exit_code, 2);
  const auto no_category = usage({"detect", kPhotos + "/good/04.jpg"});
  EXPECT_EQ(no_category.exit_code, 2);
  EXPECT_THAT(no_category.err, HasSubstr("--category"));
  EXPECT_EQ(usage({"detect", "-c", "x", "--deadline", "5", "a.jpg"}).exit_code, 2);
  const auto empty = usage({"detect", "-c", "x", ScratchFolder()});
  EXPECT_EQ(empty.exit_code, 3);
  EXPECT_THAT(empty.err, HasSubstr("holds no photographs"));
  EXPECT_THAT(usage({"detect", "-c", "x", "/no/such.jpg"}).err,
              HasSubstr("there is no file or folder /no/such.jpg"));
  const std::string config = ScratchFolder() + "/filo.conf";
  WriteWholeFile(config, "category = x\nspeling = 1\n");
  const auto misspelt = usage({"--config", config, "detect", "a.jpg"});
  EXPECT_EQ(misspelt.exit_code, 2);
  EXPECT_THAT(misspelt.err, HasSubstr("filo.conf:2"));
}

TEST(ClientProgram, NoServerIsExplained) {
  const auto run = RunProgram("filo-client", {"detect", "--server", "127.0.0.1:1", "--retries", "0", "-c",
                                              "x", kPhotos + "/good/04.jpg"});
  EXPECT_EQ(run.exit_code, 3);
  EXPECT_THAT(run.err, HasSubstr("Is filo-server running"));
}

TEST(ClientProgram, RetriesUntilTheServerIsReady) {
  const ServerProcess server("filo_fake_server", {"--unavailable-first", "2"});
  const std::vector<std::string> base = {"detect",       "--server", server.address(),
                                         "-c",           "x",        "--json",
                                         "--retry-wait", "10ms",     kPhotos + "/good/04.jpg"};
  const auto run = RunProgram("filo-client", base);
  EXPECT_EQ(run.exit_code, 0) << run.err;
  EXPECT_EQ(nlohmann::json::parse(run.out)["attempts"], 3);
}

TEST(ClientProgram, TokenComesFromFlagFileOrEnvironment) {
  const ServerProcess server("filo_fake_server", {"--token", "s3cret"});
  const std::vector<std::string> base = {"detect", "--server", server.address(),
                                         "-c",     "x",        kPhotos + "/good/04.jpg"};
  const auto without = RunProgram("filo-client", base);
  EXPECT_EQ(without.exit_code, 3);
  EXPECT_THAT(without.err, HasSubstr("--token-file"));
  EXPECT_EQ(RunProgram("filo-client", base, {"FILO_TOKEN=s3cret"}).exit_code, 0);
  const std::string file = ScratchFolder() + "/token";
  WriteWholeFile(file, "s3cret\n");
  EXPECT_EQ(RunProgram("filo-client", base, {"FILO_TOKEN_FILE=" + file}).exit_code, 0);
  auto remote = base;
  remote[2] = "example.invalid:1";
  const auto refused = RunProgram("filo-client", remote, {"FILO_TOKEN=s3cret"});
  EXPECT_EQ(refused.exit_code, 2);
  EXPECT_THAT(refused.err, HasSubstr("unencrypted"));
}

TEST(ClientProgram, HealthAndModel) {
  const ServerProcess server("filo_fake_server", {});
  const auto health = RunProgram("filo-client", {"health", "--server", server.address()});
  EXPECT_EQ(health.exit_code, 0) << health.err;
  EXPECT_THAT(health.out, HasSubstr("SERVING"));
  const auto missing =
      RunProgram("filo-client", {"health", "--server", server.address(), "--service", "no.such"});
  EXPECT_EQ(missing.exit_code, 3);
  const auto model = RunProgram("filo-client", {"model", "--server", server.address(), "--json"});
  EXPECT_EQ(model.exit_code, 0) << model.err;
  EXPECT_EQ(nlohmann::json::parse(model.out)["reference"]["bundle"], "fake");
}

}  // namespace
}  // namespace filo::client
