// filo-server: loads a bundle, serves it over gRPC, stops cleanly on SIGTERM.
#include <google/protobuf/stubs/logging.h>
#include <grpc/support/log.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <future>
#include <memory>
#include <string>

#include "fmt/format.h"
#include "nlohmann/json.hpp"
#include "server/base/file.h"
#include "server/base/status.h"
#include "server/program/model_loader.h"
#include "server/program/options.h"
#include "server/rpc/server.h"
#include "server/serving/cpu_quota.h"
#include "server/telemetry/log.h"
#include "server/telemetry/metrics_endpoint.h"
#include "server/telemetry/process_collector.h"

namespace filo::program {
namespace {

using telemetry::Level;
using telemetry::Log;

constexpr int kFailed = 3;

// What libraries would print in forms of their own becomes lines of our log.
void CatchLibraryLogs() {
  gpr_set_log_function([](gpr_log_func_args* args) {
    Log(args->severity == GPR_LOG_SEVERITY_ERROR ? Level::kWarning : Level::kDebug, "grpc",
        {{"text", args->message}});
  });
  google::protobuf::SetLogHandler(
      [](google::protobuf::LogLevel, const char*, int, const std::string& message) {
        Log(Level::kDebug, "protobuf", {{"text", message}});
      });
}

sigset_t StopSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&signals, signal);
  return signals;
}

// A signal that has come, 0 if none has; waits up to `milliseconds`, or for ever when that is negative.
int NextSignal(const sigset_t& signals, long milliseconds) {
  if (milliseconds < 0) {
    int signal = 0;
    return sigwait(&signals, &signal) == 0 ? signal : 0;
  }
  const timespec timeout{milliseconds / 1000, milliseconds % 1000 * 1'000'000};
  return std::max(0, sigtimedwait(&signals, nullptr, &timeout));
}

class Program {
 public:
  explicit Program(const Settings& settings)
      : settings_(settings),
        quota_(serving::ReadCpuQuota()),
        plan_(serving::PlanThreads(quota_.cores, settings.workers)) {
    if (settings.threads > 0) plan_.threads_per_worker = settings.threads;
    settings_.server.scheduler.workers = plan_.workers;
    models_ =
        std::make_unique<serving::ModelSlot>(MakeModelLoader(settings.device, plan_.threads_per_worker));
  }

  absl::Status Run() {
    const sigset_t signals = StopSignals();
    FILO_RETURN_IF_ERROR(Start());
    FILO_ASSIGN_OR_RETURN(const bool stopped, LoadFirst(signals));
    if (stopped) return absl::OkStatus();
    FILO_RETURN_IF_ERROR(Announce());
    for (int signal = 0; (signal = NextSignal(signals, -1)) == SIGHUP;) Reload();
    Log(Level::kInfo, "stopping");
    const bool whole =
        server_->Drain(absl::Seconds(settings_.drain_notice), absl::Seconds(settings_.drain_grace));
    Log(whole ? Level::kInfo : Level::kWarning, "stopped", {{"all_answered", whole}});
    return absl::OkStatus();
  }

 private:
  absl::Status Start() {
    categories_ = serving::BuiltInCategories();
    if (!settings_.categories.empty()) {
      FILO_ASSIGN_OR_RETURN(const auto read, serving::FixedCategories::Read(settings_.categories));
      categories_.Add(read);
    }
    if (!settings_.metrics.empty()) {
      FILO_ASSIGN_OR_RETURN(endpoint_, telemetry::MetricsEndpoint::Start(settings_.metrics));
      endpoint_->Add(metrics_.registry());
      endpoint_->Add(process_);
    }
    metrics_.workers().Set(plan_.workers);
    metrics_.threads_per_worker().Set(plan_.threads_per_worker);
    FILO_ASSIGN_OR_RETURN(
        server_, rpc::Server::Start(settings_.server, models_.get(), &categories_, &metrics_, &clock_));
    Log(Level::kInfo, "listening",
        {{"grpc", Address(settings_.server.listen, server_->port())},
         {"cores", quota_.cores},
         {"cores_from", quota_.source},
         {"workers", plan_.workers},
         {"threads_per_worker", plan_.threads_per_worker}});
    return absl::OkStatus();
  }

  // Health answers NOT_SERVING meanwhile, and a signal is obeyed at once. True if one told us to stop.
  absl::StatusOr<bool> LoadFirst(const sigset_t& signals) {
    auto loading =
        std::async(std::launch::async, [this] { return models_->Load(settings_.bundle).status(); });
    while (loading.wait_for(std::chrono::seconds(0)) != std::future_status::ready) {
      const int signal = NextSignal(signals, 20);
      if (signal == SIGTERM || signal == SIGINT) {
        telemetry::StopLog();
        _exit(0);  // nothing was served yet, and the load cannot be interrupted
      }
    }
    const absl::Status status = loading.get();
    metrics_.BundleLoaded(status.ok());
    FILO_RETURN_IF_ERROR(status);
    ShowModel("loaded");
    server_->SetServing(true);
    return false;
  }

  void Reload() {
    const absl::Status status = models_->Load(settings_.bundle).status();
    metrics_.BundleLoaded(status.ok());
    if (status.ok()) {
      ShowModel("reloaded");
    } else {
      Log(Level::kError, "bundle refused, the present one stays", {{"error", std::string(status.message())}});
    }
  }

  void ShowModel(std::string_view what) {
    const auto model = models_->Current();
    const bool paper = model->manifest.profile == bundle::Profile::kPaper;
    metrics_.SetBundle(model->manifest.name, model->digest, paper ? "paper" : "released");
    Log(Level::kInfo, what,
        {{"bundle", model->manifest.name},
         {"digest", model->digest},
         {"summary", model->manifest.summary},
         {"seconds", absl::ToDoubleSeconds(model->load_duration)}});
  }

  static std::string Address(const std::string& asked, int port) {
    if (asked.rfind("unix:", 0) == 0) return asked;
    return fmt::format("{}:{}", asked.substr(0, asked.rfind(':')), port);
  }

  // One line for people on standard output, and the port file for programs.
  absl::Status Announce() {
    const std::string grpc = Address(settings_.server.listen, server_->port());
    const std::string metrics = endpoint_ == nullptr ? "" : Address(settings_.metrics, endpoint_->port());
    const auto model = models_->Current();
    fmt::print("filo-server: bundle {} ready; gRPC on {}{}{}\n", model->manifest.name, grpc,
               metrics.empty() ? "" : ", metrics on ", metrics);
    std::fflush(stdout);
    if (settings_.port_file.empty()) return absl::OkStatus();
    const nlohmann::json json = {{"listen", grpc}, {"metrics", metrics}, {"pid", getpid()}};
    return WriteFile(settings_.port_file, json.dump() + "\n");
  }

  Settings settings_;
  const serving::CpuQuota quota_;
  serving::ThreadPlan plan_;
  const serving::RealClock clock_;
  telemetry::Metrics metrics_;
  std::shared_ptr<telemetry::ProcessCollector> process_ = std::make_shared<telemetry::ProcessCollector>();
  std::unique_ptr<serving::ModelSlot> models_;
  serving::FixedCategories categories_;
  std::unique_ptr<telemetry::MetricsEndpoint> endpoint_;
  std::unique_ptr<rpc::Server> server_;
};

int Main(int argc, char** argv) {
  const Parsed parsed = ParseCommandLine(argc, argv);
  if (!parsed.settings.has_value()) {
    fmt::print(parsed.is_error ? stderr : stdout, "{}", parsed.text);
    return parsed.code;
  }
  // Before any thread exists, so that all inherit it: signals are taken where they are waited for, nowhere
  // else.
  const sigset_t signals = StopSignals();
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  signal(SIGPIPE, SIG_IGN);
  if (const absl::Status status = telemetry::StartLog(parsed.settings->log); !status.ok()) {
    fmt::print(stderr, "filo-server: {}\n", std::string(status.message()));
    return kFailed;
  }
  CatchLibraryLogs();
  const absl::Status status = std::make_unique<Program>(*parsed.settings)->Run();
  if (!status.ok()) Log(Level::kError, "failed", {{"error", std::string(status.message())}});
  telemetry::StopLog();
  if (status.ok()) return 0;
  fmt::print(stderr, "filo-server: {}\n", std::string(status.message()));
  return kFailed;
}

}  // namespace
}  // namespace filo::program

int main(int argc, char** argv) { return filo::program::Main(argc, argv); }
