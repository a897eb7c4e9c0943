// `load`, `search` and `compare` as real programs against real gRPC servers.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <future>
#include <thread>

#include "nlohmann/json.hpp"
#include "tests/client/program/process.h"

namespace filo::client {
namespace {

using ::testing::HasSubstr;

const std::string kPhotos = FILO_TEST_DATA "/hazelnut";  // NOLINT

ProcessResult Client(std::vector<std::string> arguments) { return RunProgram("filo-client", arguments); }

// The tests' machine may be busy; whether the client kept its schedule is not what most of them ask.
std::vector<std::string> Load(const ServerProcess& server, std::vector<std::string> more) {
  std::vector<std::string> arguments = {"load",           "--server", server.address(), "--json", "-q",
                                        "--max-send-lag", "100s"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}

nlohmann::json Json(const ProcessResult& run) { return nlohmann::json::parse(run.out, nullptr, false); }

int FreePort() {
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  bind(fd, reinterpret_cast<sockaddr*>(&address), size);
  getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
  close(fd);
  return ntohs(address.sin_port);
}

TEST(LoadProgram, OpenLoopAccountsForEveryRequest) {
  const ServerProcess server("filo_fake_server", {});
  const std::string folder = ScratchFolder();
  const auto run = Client(Load(server, {"--rate", "200", "--duration", "2s", "--warm-up", "500ms", kPhotos,
                                        "--check", "self", "--report", folder + "/run.html", "--hgrm",
                                        folder + "/run.hgrm", "--out", folder + "/run.json"}));
  ASSERT_EQ(run.exit_code, 0) << run.err;
  const auto json = Json(run);
  EXPECT_EQ(json["format"], "filo.load/1");
  EXPECT_NEAR(json["rates"]["requested"].get<double>(), 200, 40);
  const auto& counts = json["counts"];
  EXPECT_EQ(counts["due"], counts["started"]);
  EXPECT_EQ(counts["started"], counts["succeeded"]);
  EXPECT_EQ(counts["wrong"], 0);
  EXPECT_GT(counts["warm_up"].get<int>(), 50);
  EXPECT_EQ(json["codes"]["OK"], counts["succeeded"]);
  EXPECT_EQ(json["latency"]["count"], counts["succeeded"]);
  EXPECT_NEAR(json["stages"]["image_tower"]["mean"].get<double>(), 0.004, 1e-5);
  EXPECT_EQ(json["measured_seconds"], 2.0);
  EXPECT_THAT(ReadWholeFile(folder + "/run.html"), HasSubstr("Percentile curve"));
  EXPECT_THAT(ReadWholeFile(folder + "/run.hgrm"), HasSubstr("#[Max"));
  const auto page = Client({"report", folder + "/run.json", folder + "/again.html"});
  EXPECT_EQ(page.exit_code, 0) << page.err;
  EXPECT_EQ(ReadWholeFile(folder + "/again.html"), ReadWholeFile(folder + "/run.html"));
}

// A server that is frozen for six of nine seconds answers two thirds of the requests late; a load generator
// that waits for its answers before it goes on would show one slow request instead.
TEST(LoadProgram, PercentilesShowAServerFrozenForSixSeconds) {
  ServerProcess server("filo_null_server", {});
  RunningProgram client("filo-client",
                        Load(server, {"--rate", "100", "--duration", "9s", "--raw-bytes", "1000"}));
  ASSERT_EQ(server.ReadLine(), "first call");
  std::this_thread::sleep_for(std::chrono::seconds(1));
  kill(server.pid(), SIGSTOP);
  std::this_thread::sleep_for(std::chrono::seconds(6));
  kill(server.pid(), SIGCONT);
  const auto result = client.Wait();
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const auto json = Json(result);
  const auto quantile = [&](const char* name) { return json["latency"]["quantiles"][name].get<double>(); };
  EXPECT_EQ(json["counts"]["not_sent"], 0);
  EXPECT_EQ(json["counts"]["failed"], 0);
  EXPECT_GT(quantile("p50"), 0.7);
  EXPECT_GT(quantile("p90"), 4.0);
  EXPECT_GT(quantile("p100"), 5.5);
  EXPECT_LT(quantile("p25"), 1.0);
}

TEST(LoadProgram, OverflowOfTheInFlightCapIsCountedNotQueued) {
  const ServerProcess server("filo_fake_server", {"--delay-ms", "300"});
  const auto run = Client(Load(server, {"--rate", "200", "--duration", "1500ms", "--max-in-flight", "5",
                                        kPhotos, "--slo", "errors<1%"}));
  EXPECT_EQ(run.exit_code, 1) << run.err;
  const auto counts = Json(run)["counts"];
  EXPECT_EQ(counts["due"].get<int>(), counts["started"].get<int>() + counts["not_sent"].get<int>());
  EXPECT_GT(counts["not_sent"].get<int>(), 100);
  EXPECT_LE(counts["started"].get<int>(), 60);
  EXPECT_GT(Json(run)["error_share"].get<double>(), 0.5);
}

TEST(LoadProgram, WrongAnswersAreFailures) {
  const std::string reference = ScratchFolder() + "/reference.json";
  {
    const ServerProcess right("filo_fake_server", {});
    const auto run =
        Client(Load(right, {"--concurrency", "1", "--requests", "4", "--check-write", reference, kPhotos}));
    ASSERT_EQ(run.exit_code, 0) << run.err;
  }
  const ServerProcess wrong("filo_fake_server", {"--wrong-every", "10"});
  const auto run =
      Client(Load(wrong, {"--concurrency", "4", "--requests", "100", "--check", reference, kPhotos}));
  EXPECT_EQ(run.exit_code, 1) << run.err;
  EXPECT_EQ(Json(run)["counts"]["wrong"], 10);
  EXPECT_EQ(Json(run)["counts"]["failed"], 10);
  EXPECT_EQ(Json(run)["counts"]["succeeded"], 90);
}

// The client itself is frozen for a while, as it is when its machine is too busy.
TEST(LoadProgram, AClientThatIsTooSlowSaysSoAndFails) {
  ServerProcess server("filo_null_server", {});
  RunningProgram client("filo-client", {"load", "--server", server.address(), "-q", "--rate", "100",
                                        "--duration", "2s", "--raw-bytes", "0"});
  ASSERT_EQ(server.ReadLine(), "first call");
  kill(client.pid(), SIGSTOP);
  std::this_thread::sleep_for(std::chrono::seconds(1));
  kill(client.pid(), SIGCONT);
  const auto run = client.Wait();
  EXPECT_EQ(run.exit_code, 3) << run.out;
  EXPECT_THAT(run.err, HasSubstr("this client could not keep its schedule"));
}

TEST(LoadProgram, MisbehavingClientsAreCountedApart) {
  const ServerProcess server("filo_fake_server", {"--delay-ms", "30"});
  const auto run = Client(Load(
      server, {"--rate", "100", "--duration", "2s", "--misbehave", "cancel=10%,slow-reader=5%,disconnect=10%",
               "--cancel-within", "20ms", "--read-after", "100ms", kPhotos}));
  ASSERT_EQ(run.exit_code, 0) << run.err;
  const auto json = Json(run);
  EXPECT_EQ(json["counts"]["failed"], 0);
  EXPECT_GT(json["misbehaviour"].value("cancel: CANCELLED", 0), 0) << json["misbehaviour"].dump();
  EXPECT_GT(json["misbehaviour"].value("slow-reader: OK", 0), 0);
  EXPECT_GT(json["misbehaviour"].value("disconnect: reset in mid-message", 0), 0);
  EXPECT_EQ(Client({"health", "--server", server.address()}).exit_code, 0);
}

TEST(LoadProgram, EndsEarlyWhenMostRequestsFail) {
  const ServerProcess server("filo_fake_server", {"--fail-every", "1"});
  const auto run =
      Client(Load(server, {"--rate", "100", "--duration", "60s", "--abort-above", "50%", kPhotos}));
  EXPECT_EQ(run.exit_code, 3);
  EXPECT_THAT(run.err, HasSubstr("ended early"));
  EXPECT_GT(Json(run)["codes"]["INTERNAL"].get<int>(), 10);
}

TEST(LoadProgram, ScrapesTheServerAndOffersItsOwnMetrics) {
  const ServerProcess server("filo_fake_server", {});
  const std::string port = std::to_string(FreePort());
  auto first = std::async(std::launch::async, [&] {
    return Client(
        Load(server, {"--rate", "50", "--duration", "5s", kPhotos, "--prometheus", "127.0.0.1:" + port}));
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(1200));
  const auto second = Client(Load(server, {"--rate", "50", "--duration", "2500ms", kPhotos,
                                           "--server-metrics", "http://127.0.0.1:" + port + "/metrics"}));
  EXPECT_EQ(second.exit_code, 0) << second.err;
  const auto json = Json(second);
  ASSERT_TRUE(json["server_series"].contains("filo_client_in_flight"))
      << json["server_series"].dump() << second.err;
  EXPECT_GE(json["server_series"]["filo_client_in_flight"].size(), 2u);
  EXPECT_EQ(first.get().exit_code, 0);
}

TEST(LoadProgram, CompareTellsASlowerServer) {
  const std::string folder = ScratchFolder();
  for (const auto& [name, delay] : {std::pair("a", "2"), std::pair("b", "40")}) {
    const ServerProcess server("filo_fake_server", {"--delay-ms", delay});
    const auto run =
        Client(Load(server, {"--rate", "60", "--duration", "3s", kPhotos, "--out", folder + "/" + name}));
    ASSERT_EQ(run.exit_code, 0) << run.err;
  }
  const auto slower = Client({"compare", folder + "/a", folder + "/b"});
  EXPECT_EQ(slower.exit_code, 1) << slower.out;
  EXPECT_THAT(slower.out, HasSubstr("WORSE"));
  EXPECT_EQ(Client({"compare", folder + "/a", folder + "/a"}).exit_code, 0);
  WriteWholeFile(folder + "/c", R"({"format":"filo.load/99"})");
  EXPECT_THAT(Client({"compare", folder + "/a", folder + "/c"}).err, HasSubstr("filo.load/99"));
}

TEST(LoadProgram, SearchStopsAtTheTopAndAtTheBottom) {
  const ServerProcess server("filo_fake_server", {});
  const std::vector<std::string> base = {"search",     "--server", server.address(),     "-q",    "--json",
                                         "--duration", "400ms",    "--confirm-duration", "800ms", kPhotos};
  auto easy = base;
  easy.insert(easy.end(), {"--slo", "p99<10s,errors<1%", "--start-rate", "20", "--max-rate", "60"});
  const auto held = Client(easy);
  EXPECT_EQ(held.exit_code, 0) << held.err;
  EXPECT_EQ(Json(held)["rate"], 60.0);
  EXPECT_EQ(Json(held)["confirmed"], true);
  auto impossible = base;
  impossible.insert(impossible.end(), {"--slo", "p50<1ns", "--start-rate", "20", "--min-rate", "8"});
  const auto broken = Client(impossible);
  EXPECT_NE(broken.exit_code, 0);
  EXPECT_TRUE(Json(broken)["rate"].is_null());
}

TEST(LoadProgram, WrongUsage) {
  const auto message = [](std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), "load");
    const auto run = Client(arguments);
    EXPECT_EQ(run.exit_code, 2) << run.err;
    return run.err;
  };
  EXPECT_THAT(message({"--raw-bytes", "5"}), HasSubstr("exactly one of --rate"));
  EXPECT_THAT(message({"--rate", "5", "--concurrency", "5", "--raw-bytes", "5"}),
              HasSubstr("exactly one of --rate"));
  EXPECT_THAT(message({"--rate", "5"}), HasSubstr("say what to send"));
  EXPECT_THAT(message({"--rate", "5", "--raw-bytes", "1", "--slo", "p99<5"}), HasSubstr("--slo"));
  EXPECT_THAT(message({"--ramp", "5", "--raw-bytes", "1"}), HasSubstr("--ramp"));
  EXPECT_THAT(message({"--rate", "5", "--raw-bytes", "1", "--check", "self"}), HasSubstr("--check"));
}

}  // namespace
}  // namespace filo::client
