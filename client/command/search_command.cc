#include <fstream>

#include "client/command/command.h"
#include "client/command/live_view.h"
#include "client/command/load_options.h"
#include "client/command/options.h"
#include "client/load/parse.h"
#include "client/load/slo_search.h"
#include "fmt/format.h"
#include "server/base/status.h"

namespace filo::client {
namespace {

const char* Word(TrialOutcome outcome) {
  return outcome == TrialOutcome::kHeld     ? "held"
         : outcome == TrialOutcome::kBroken ? "not held"
                                            : "client-limited";
}

class SearchCommand final : public SimpleCommand {
 public:
  void Register(CLI::App& app) override {
    CLI::App* sub = Add(app, "search", "Finds the highest rate that holds a service-level objective");
    const char* group = "Search";
    sub->add_option("--slo", slo_, "Objectives, e.g. p99<200ms,errors<0.1%")
        ->type_name("LIST")
        ->required()
        ->group(group);
    sub->add_option("--start-rate", search_.start_rate, "First rate tried, requests per second")
        ->capture_default_str()
        ->group(group);
    sub->add_option("--min-rate", search_.min_rate, "Give up below this rate")
        ->capture_default_str()
        ->group(group);
    sub->add_option("--max-rate", search_.max_rate, "Never try more")->capture_default_str()->group(group);
    sub->add_option("--factor", search_.factor, "Growth while nothing breaks")
        ->capture_default_str()
        ->group(group);
    AddShare(*sub, "--resolution", search_.resolution, "Bisect until the limit is known this closely")
        ->group(group);
    sub->add_option("--max-trials", search_.max_trials, "Most trials")->capture_default_str()->group(group);
    AddDuration(*sub, "--duration", trial_, "Length of a trial")->group(group);
    AddDuration(*sub, "--confirm-duration", confirm_, "Length of the confirming run")->group(group);
    AddLoadFlags(*sub, flags_);
    sub->add_option("--out", out_, "All trials as JSON")->type_name("FILE")->group("Output");
    sub->add_flag("--json", json_, "Print JSON instead of a summary")->group("Output");
    sub->add_flag("-q,--quiet", quiet_, "No live view")->group("Output");
  }

  absl::StatusOr<int> Run() override {
    FILO_ASSIGN_OR_RETURN(objectives_, ParseObjectives(slo_));
    FILO_ASSIGN_OR_RETURN(SloSearch search, SloSearch::Create(search_));
    FILO_RETURN_IF_ERROR(PrepareLoad(flags_, setup_));
    InstallInterrupt();
    while (const std::optional<Trial> trial = search.Next()) {
      FILO_ASSIGN_OR_RETURN(const TrialOutcome outcome, RunTrial(*trial));
      if (Interrupted()) return absl::CancelledError("interrupted");
      search.Report(outcome);
    }
    return Finish(search);
  }

 private:
  absl::StatusOr<TrialOutcome> RunTrial(const Trial& trial) {
    FILO_ASSIGN_OR_RETURN(const RateProfile profile, RateProfile::Constant(trial.rate));
    EngineOptions options = flags_.engine;
    options.duration = trial.confirm ? confirm_ : trial_;
    options.make_limiter = [&] { return MakeProfileLimiter(profile, Arrivals::kPoisson, options.seed); };
    // A trial that fails badly need not be sat through.
    options.abort_above = std::min(options.abort_above, 0.5);
    LiveScreen screen(!quiet_);
    FILO_ASSIGN_OR_RETURN(const RunResult result,
                          RunLoad(*setup_.connection, *setup_.corpus, setup_.reference_or_null(), options,
                                  Interrupted(), [&](const LiveView& view) { screen.Draw(view); }));
    screen.Clear();
    const RunStats& stats = result.stats;
    const double throughput = static_cast<double>(stats.succeeded) / ToSeconds(result.measured);
    const auto held = Evaluate(objectives_, {&stats.latency, stats.ErrorShareOfDue(), throughput});
    const Bottleneck bottleneck = FindBottleneck(result, true, Nanos(0));
    // An objective that is held is held, however late the client was: its lag is part of the latency.
    const TrialOutcome outcome = AllHeld(held) && !result.aborted && stats.wrong == 0 ? TrialOutcome::kHeld
                                 : bottleneck.limited ? TrialOutcome::kClientLimited
                                                      : TrialOutcome::kBroken;
    std::string line = fmt::format("{:>10.4g}/s  {:<14}", trial.rate, Word(outcome));
    nlohmann::json measured = nlohmann::json::array();
    for (const ObjectiveResult& one : held) {
      line += "  " + Describe(one);
      measured.push_back({{"objective", one.objective.text}, {"measured", one.measured}, {"held", one.held}});
    }
    if (stats.wrong > 0) line += fmt::format("  {} wrong answers", stats.wrong);
    if (!json_) fmt::print("{}{}\n", line, trial.confirm ? "  (confirming run)" : "");
    std::fflush(stdout);
    trials_.push_back({{"rate", trial.rate},
                       {"confirm", trial.confirm},
                       {"outcome", Word(outcome)},
                       {"achieved", static_cast<double>(stats.started) / ToSeconds(result.measured)},
                       {"throughput", throughput},
                       {"objectives", measured}});
    return outcome;
  }

  absl::StatusOr<int> Finish(const SloSearch& search) const {
    const SearchResult result = search.Result();
    const nlohmann::json json = {
        {"format", "filo.search/1"},
        {"server", flags_.connection.server},
        {"slo", slo_},
        {"rate", result.rate.has_value() ? nlohmann::json(*result.rate) : nlohmann::json(nullptr)},
        {"confirmed", result.confirmed},
        {"client_limited", result.client_limited},
        {"at_maximum", result.at_maximum},
        {"summary", result.summary},
        {"trials", trials_}};
    if (!out_.empty()) {
      std::ofstream file(out_);
      file << json.dump(1) << "\n";
      file.close();
      if (!file) return absl::FailedPreconditionError(fmt::format("--out: cannot write {}", out_));
    }
    fmt::print("{}\n", json_ ? json.dump() : result.summary);
    if (result.client_limited) return kFailed;
    return result.confirmed ? kDone : kFound;
  }

  LoadFlags flags_;
  LoadSetup setup_;
  SearchOptions search_;
  std::string slo_, out_;
  std::vector<Objective> objectives_;
  Nanos trial_ = std::chrono::seconds(15);
  Nanos confirm_ = std::chrono::seconds(60);
  bool json_ = false, quiet_ = false;
  nlohmann::json trials_ = nlohmann::json::array();
};

}  // namespace

std::unique_ptr<Command> MakeSearchCommand() { return std::make_unique<SearchCommand>(); }

}  // namespace filo::client
