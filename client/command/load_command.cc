#include <fstream>

#include "client/command/command.h"
#include "client/command/live_view.h"
#include "client/command/load_options.h"
#include "client/command/options.h"
#include "client/engine/exporter.h"
#include "client/load/hgrm.h"
#include "client/load/parse.h"
#include "client/report/load_report.h"
#include "fmt/format.h"
#include "server/base/status.h"

namespace filo::client {
namespace {

absl::Status WriteText(const std::string& flag, const std::string& path, const std::string& text) {
  if (path.empty()) return absl::OkStatus();
  std::ofstream file(path, std::ios::binary);
  file << text;
  file.close();
  return file ? absl::OkStatus()
              : absl::FailedPreconditionError(fmt::format("{}: cannot write {}", flag, path));
}

class LoadCommand final : public SimpleCommand {
 public:
  void Register(CLI::App& app) override {
    CLI::App* sub = Add(app, "load", "Sends photographs at a given rate and measures what comes back");
    const char* schedule = "Schedule (one of --rate, --ramp, --steps, --burst, --replay, --concurrency)";
    sub->add_option("--rate", rate_, "Requests per second, open loop")->type_name("RATE")->group(schedule);
    sub->add_option("--ramp", ramp_, "Rising or falling rate, e.g. 10..500/60s")
        ->type_name("FROM..TO/TIME")
        ->group(schedule);
    sub->add_option("--steps", steps_, "Rates one after another, e.g. 50/30s,100/30s")
        ->type_name("RATE/TIME,…")
        ->group(schedule);
    sub->add_option("--burst", burst_, "So many at once every so often, e.g. 50/5s")
        ->type_name("SIZE/PERIOD")
        ->group(schedule);
    sub->add_option("--replay", replay_, "Recorded arrivals: a file with one time in seconds a line")
        ->type_name("FILE")
        ->group(schedule);
    sub->add_option("--replay-speed", replay_speed_, "Replay so many times faster")
        ->capture_default_str()
        ->group(schedule);
    sub->add_option("--replay-rounds", replay_rounds_, "Replay so often; 0 = until the end")
        ->capture_default_str()
        ->group(schedule);
    sub->add_option("--concurrency", concurrency_, "Closed loop with so many requests always under way")
        ->check(CLI::Range(1, 100'000))
        ->group(schedule);
    AddDuration(*sub, "--think", flags_.engine.think,
                "Closed loop: pause between an answer and the next request")
        ->group(schedule);
    sub->add_flag("--even", even_, "Equal gaps instead of Poisson arrivals")->group(schedule);
    AddDuration(*sub, "--duration", flags_.engine.duration, "Length of the measured part")->group(schedule);
    sub->add_option("--requests", flags_.engine.max_requests, "End after so many requests")->group(schedule);
    AddLoadFlags(*sub, flags_);
    const char* output = "Output";
    sub->add_option("--slo", slo_, "Objectives, e.g. p99<200ms,errors<0.1%; exit code 1 if one is not held")
        ->type_name("LIST")
        ->group(output);
    AddDuration(*sub, "--max-send-lag", max_lag_,
                "99th percentile of the send lag from which the client counts as the bottleneck "
                "(default: 10 ms, or 5 % of the median latency if that is more)")
        ->group(output);
    sub->add_option("--out", out_, "The run as JSON, for compare and report")
        ->type_name("FILE")
        ->group(output);
    sub->add_option("--report", report_, "The run as a self-contained HTML page")
        ->type_name("FILE")
        ->group(output);
    sub->add_option("--hgrm", hgrm_, "Latency from the intended start in HdrHistogram's format, milliseconds")
        ->type_name("FILE")
        ->group(output);
    sub->add_option("--prometheus", prometheus_, "Offer the run's own metrics there meanwhile")
        ->type_name("HOST:PORT")
        ->group(output);
    sub->add_option("--label", label_, "A name for the run")->type_name("TEXT")->group(output);
    sub->add_flag("--json", json_, "Print JSON instead of a summary")->group(output);
    sub->add_flag("-q,--quiet", quiet_, "No live view")->group(output);
  }

  absl::StatusOr<int> Run() override {
    std::vector<Objective> objectives;
    if (!slo_.empty()) {
      FILO_ASSIGN_OR_RETURN(objectives, ParseObjectives(slo_));
    }
    FILO_RETURN_IF_ERROR(PrepareSchedule());
    FILO_RETURN_IF_ERROR(PrepareLoad(flags_, setup_));
    setup_.description.label = label_;
    std::unique_ptr<LoadExporter> exporter;
    if (!prometheus_.empty()) {
      FILO_ASSIGN_OR_RETURN(exporter, LoadExporter::Start(prometheus_));
      fmt::print(stderr, "metrics on port {}\n", exporter->port());
    }
    InstallInterrupt();
    FILO_ASSIGN_OR_RETURN(const RunResult result, Execute(exporter.get()));
    if (result.stats.started == 0)
      return absl::FailedPreconditionError("nothing was measured: " + result.end_reason);
    const RunStats& stats = result.stats;
    const auto held =
        Evaluate(objectives, {&stats.latency, stats.ErrorShareOfDue(),
                              static_cast<double>(stats.succeeded) / ToSeconds(result.measured)});
    const Bottleneck bottleneck = FindBottleneck(result, setup_.description.open_loop, max_lag_);
    const nlohmann::json run = LoadJson(result, flags_.engine, setup_.description,
                                        setup_.corpus->Categories(), series_, held, bottleneck);
    FILO_RETURN_IF_ERROR(Write(run, stats));
    if (bottleneck.limited) return absl::FailedPreconditionError(bottleneck.reason);
    if (result.aborted) return absl::AbortedError("ended early: " + result.end_reason);
    return AllHeld(held) && stats.wrong == 0 ? kDone : kFound;
  }

 private:
  absl::StatusOr<RunResult> Execute(LoadExporter* exporter) {
    MetricsScraper scraper(flags_.metrics_url);
    LiveScreen screen(!quiet_);
    bool measuring = false;
    auto result =
        RunLoad(*setup_.connection, *setup_.corpus, setup_.reference_or_null(), flags_.engine, Interrupted(),
                [&](const LiveView& view) {
                  if (!measuring && view.since_start >= Nanos(0)) {
                    scraper.SetOrigin(std::chrono::steady_clock::now().time_since_epoch() - view.since_start);
                    measuring = true;
                  }
                  screen.Draw(view);
                  if (exporter != nullptr) exporter->Update(view);
                });
    series_ = scraper.Interesting();
    if (!scraper.error().empty()) fmt::print(stderr, "filo-client: --server-metrics: {}\n", scraper.error());
    return result;
  }

  absl::Status Write(const nlohmann::json& run, const RunStats& stats) const {
    const std::string text = run.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
    FILO_RETURN_IF_ERROR(WriteText("--out", out_, text + "\n"));
    if (!report_.empty()) FILO_RETURN_IF_ERROR(WriteText("--report", report_, LoadReportHtml(run)));
    FILO_RETURN_IF_ERROR(WriteText("--hgrm", hgrm_, ToHgrm(stats.latency)));
    fmt::print("{}\n", json_ ? text : LoadSummary(run));
    return absl::OkStatus();
  }

  // Sets the engine's schedule from exactly one of the schedule flags.
  absl::Status PrepareSchedule() {
    const int given = (rate_ ? 1 : 0) + (ramp_.empty() ? 0 : 1) + (steps_.empty() ? 0 : 1) +
                      (burst_.empty() ? 0 : 1) + (replay_.empty() ? 0 : 1) + (concurrency_ ? 1 : 0);
    if (given != 1)
      return absl::InvalidArgumentError(
          "give exactly one of --rate, --ramp, --steps, --burst, --replay, --concurrency");
    RunDescription& description = setup_.description;
    if (concurrency_) {
      description.open_loop = false;
      flags_.engine.concurrency = *concurrency_;
      flags_.engine.threads = std::min(flags_.engine.threads, *concurrency_);
      description.schedule = fmt::format("closed loop, {} in flight", *concurrency_);
      return absl::OkStatus();
    }
    if (!burst_.empty()) {
      FILO_RETURN_IF_ERROR(ParseBurst(burst_).status());
      flags_.engine.make_limiter = [text = burst_] { return *ParseBurst(text); };
      description.schedule = "bursts of " + burst_;
      return absl::OkStatus();
    }
    if (!replay_.empty()) {
      FILO_ASSIGN_OR_RETURN(const std::vector<Nanos> moments, ReadTrace(replay_));
      flags_.engine.schedule_ends_itself = true;
      FILO_RETURN_IF_ERROR(MakeReplayLimiter(moments, replay_speed_, replay_rounds_).status());
      flags_.engine.make_limiter = [this, moments] {
        return *MakeReplayLimiter(moments, replay_speed_, replay_rounds_);
      };
      description.schedule =
          fmt::format("replay of {} arrivals, {:g} times as fast", moments.size(), replay_speed_);
      return absl::OkStatus();
    }
    auto profile = rate_           ? RateProfile::Constant(*rate_)
                   : ramp_.empty() ? RateProfile::ParseSteps(steps_)
                                   : RateProfile::ParseRamp(ramp_);
    if (!profile.ok()) return profile.status();
    // Steps say themselves how long they last.
    if (profile->Length().has_value()) flags_.engine.duration = *profile->Length();
    const Arrivals arrivals = even_ ? Arrivals::kEven : Arrivals::kPoisson;
    flags_.engine.make_limiter = [this, profile = *profile, arrivals] {
      return MakeProfileLimiter(profile, arrivals, flags_.engine.seed);
    };
    const std::string shape = rate_           ? fmt::format("{:g}/s", *rate_)
                              : ramp_.empty() ? "steps " + steps_
                                              : "ramp " + ramp_;
    description.schedule = shape + (even_ ? ", evenly spaced" : ", Poisson");
    return absl::OkStatus();
  }

  LoadFlags flags_;
  LoadSetup setup_;
  std::optional<double> rate_;
  std::optional<int> concurrency_;
  std::string ramp_, steps_, burst_, replay_;
  double replay_speed_ = 1;
  int replay_rounds_ = 1;
  bool even_ = false, json_ = false, quiet_ = false;
  Nanos max_lag_{0};
  std::string slo_, out_, report_, hgrm_, prometheus_, label_;
  std::map<std::string, Series> series_;
};

}  // namespace

std::unique_ptr<Command> MakeLoadCommand() { return std::make_unique<LoadCommand>(); }

}  // namespace filo::client
