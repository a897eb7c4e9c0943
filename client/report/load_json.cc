#include "client/report/load_json.h"

#include <algorithm>

#include "client/load/parse.h"
#include "client/rpc/error.h"
#include "fmt/chrono.h"
#include "fmt/format.h"
#include "server/base/status.h"

namespace filo::client {
namespace {

using nlohmann::json;

constexpr char kFormat[] = "filo.load/1";
constexpr std::pair<const char*, double> kQuantiles[] = {
    {"p0", 0},     {"p25", 0.25}, {"p50", 0.5},     {"p75", 0.75},      {"p90", 0.9},
    {"p95", 0.95}, {"p99", 0.99}, {"p99.9", 0.999}, {"p99.99", 0.9999}, {"p100", 1}};

json Buckets(const Histogram& histogram) {
  json buckets = json::array();
  histogram.ForEach([&](std::int64_t, std::int64_t high, std::uint64_t count) {
    buckets.push_back({high, count});
  });
  return buckets;
}

// Durations in seconds, buckets as [upper edge in nanoseconds, count].
json ToJson(const Histogram& histogram, bool with_buckets) {
  json quantiles = json::object();
  for (const auto& [name, q] : kQuantiles) quantiles[name] = static_cast<double>(histogram.Quantile(q)) / 1e9;
  json out = {{"count", histogram.Count()},
              {"min", static_cast<double>(histogram.Min()) / 1e9},
              {"max", static_cast<double>(histogram.Max()) / 1e9},
              {"mean", histogram.Mean() / 1e9},
              {"standard_deviation", histogram.StdDeviation() / 1e9},
              {"relative_error_bound", histogram.RelativeErrorBound()},
              {"quantiles", quantiles}};
  if (with_buckets) {
    out["precision"] = histogram.Precision();
    out["buckets"] = Buckets(histogram);
  }
  return out;
}

json ToJson(const IntervalSeries& series) {
  json out = json::array();
  for (const Interval& interval : series.Intervals()) {
    out.push_back({{"start", ToSeconds(interval.start)},
                   {"length", ToSeconds(interval.length)},
                   {"due", interval.due},
                   {"not_sent", interval.not_sent},
                   {"succeeded", interval.succeeded},
                   {"failed", interval.failed},
                   {"latency", Buckets(interval.latency)}});
  }
  return out;
}

json ToJson(const std::vector<ObjectiveResult>& objectives) {
  json out = json::array();
  for (const ObjectiveResult& result : objectives) {
    out.push_back({{"objective", result.objective.text},
                   {"measured", result.measured},
                   {"held", result.held},
                   {"text", Describe(result)}});
  }
  return out;
}

std::string Line(const char* name, const json& histogram) {
  std::string line = fmt::format("{:<22}", name);
  for (const char* quantile : {"p50", "p90", "p99", "p99.9", "p100"}) {
    line += fmt::format("{:>11}", FormatDuration(Seconds(histogram["quantiles"][quantile].get<double>())));
  }
  return line + fmt::format("{:>11}\n", FormatDuration(Seconds(histogram["mean"].get<double>())));
}

}  // namespace

Bottleneck FindBottleneck(const RunResult& result, bool open_loop, Nanos max_lag) {
  if (!open_loop || result.stats.started == 0) return {};
  if (max_lag == Nanos(0)) {
    max_lag = std::max<Nanos>(std::chrono::milliseconds(10), Nanos(result.stats.latency.Quantile(0.5) / 20));
  }
  const Nanos lag(result.stats.send_lag.Quantile(0.99));
  if (lag <= max_lag) return {};
  return {
      true,
      fmt::format(
          "this client could not keep its schedule: 1 % of the requests started {} late or more (limit {}). "
          "Use more --threads, a lower rate, or a machine of its own for the client",
          FormatDuration(lag), FormatDuration(max_lag))};
}

nlohmann::json LoadJson(const RunResult& result, const EngineOptions& options,
                        const RunDescription& description, const std::vector<std::string>& category_names,
                        const std::map<std::string, Series>& server_series,
                        const std::vector<ObjectiveResult>& objectives, const Bottleneck& bottleneck) {
  const RunStats& stats = result.stats;
  const double seconds = ToSeconds(result.measured);
  json codes = json::object(), categories = json::object(), stages = json::object();
  for (const auto& [code, count] : stats.codes) codes[CodeName(static_cast<grpc::StatusCode>(code))] = count;
  for (const auto& [index, histogram] : stats.by_category)
    categories[category_names[index]] = ToJson(histogram, false);
  for (const auto& [stage, histogram] : stats.stages) stages[stage] = ToJson(histogram, false);
  const std::time_t started = std::chrono::system_clock::to_time_t(result.started_at);
  json run = {
      {"format", kFormat},
      {"label", description.label},
      {"started_at", fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(started))},
      {"server", description.server},
      {"method", description.method},
      {"loop", description.open_loop ? "open" : "closed"},
      {"schedule", description.schedule},
      {"corpus", description.corpus},
      {"settings",
       {{"threads", options.threads},
        {"connections", options.connections},
        {"max_in_flight", description.open_loop ? options.max_in_flight : options.concurrency},
        {"deadline_seconds", ToSeconds(description.deadline)},
        {"warm_up_seconds", ToSeconds(options.warm_up)},
        {"seed", options.seed}}},
      {"measured_seconds", seconds},
      {"rates",
       {{"requested", description.open_loop ? json(static_cast<double>(stats.due) / seconds) : json(nullptr)},
        {"achieved", static_cast<double>(stats.started) / seconds},
        {"succeeded", static_cast<double>(stats.succeeded) / seconds}}},
      {"counts",
       {{"due", stats.due},
        {"started", stats.started},
        {"not_sent", stats.not_sent},
        {"succeeded", stats.succeeded},
        {"failed", stats.failed},
        {"wrong", stats.wrong},
        {"unfinished", stats.unfinished},
        {"warm_up", stats.warm_up}}},
      {"bytes", {{"requests", stats.request_bytes}, {"replies", stats.reply_bytes}}},
      {"error_share", stats.ErrorShareOfDue()},
      {"codes", codes},
      {"verdicts", result.verdicts},
      {"latency", ToJson(stats.latency, true)},
      {"service", ToJson(stats.service, true)},
      {"failed_latency", ToJson(stats.failed_latency, false)},
      {"send_lag", ToJson(stats.send_lag, false)},
      {"categories", categories},
      {"stages", stages},
      {"misbehaviour", result.misbehaviour},
      {"intervals", ToJson(stats.intervals)},
      {"interval_precision", Interval::kPrecision},
      {"server_series", server_series},
      {"client",
       {{"cpu_seconds", result.client_cpu_seconds},
        {"cpu_cores", result.client_cpu_seconds / seconds},
        {"bottleneck", bottleneck.limited},
        {"reason", bottleneck.reason}}},
      {"objectives", ToJson(objectives)},
      {"end_reason", result.end_reason},
      {"aborted", result.aborted},
  };
  return run;
}

absl::StatusOr<nlohmann::json> ReadLoadJson(const std::string& path) {
  FILO_ASSIGN_OR_RETURN(const std::string text, ReadFile("run", path));
  json run = json::parse(text, nullptr, /*allow_exceptions=*/false);
  const std::string format = run.is_object() ? run.value("format", "") : "";
  if (format == kFormat) return run;
  if (format.rfind("filo.load/", 0) == 0) {
    return absl::InvalidArgumentError(
        fmt::format("{} is of format {}; this program reads {}", path, format, kFormat));
  }
  return absl::InvalidArgumentError(
      fmt::format("{} is no load run; make one with filo-client load --out {}", path, path));
}

std::vector<Interval> IntervalsOf(const nlohmann::json& run) {
  std::vector<Interval> intervals;
  for (const json& from : run.value("intervals", json::array())) {
    Interval interval;
    interval.start = Seconds(from.value("start", 0.0));
    interval.length = Seconds(from.value("length", 0.0));
    interval.due = from.value("due", std::uint64_t{0});
    interval.not_sent = from.value("not_sent", std::uint64_t{0});
    interval.succeeded = from.value("succeeded", std::uint64_t{0});
    interval.failed = from.value("failed", std::uint64_t{0});
    for (const json& bucket : from.value("latency", json::array())) {
      if (!bucket.is_array() || bucket.size() != 2 || !bucket[0].is_number() || !bucket[1].is_number())
        continue;
      interval.latency.Record(bucket[0].get<std::int64_t>(), bucket[1].get<std::uint64_t>());
    }
    intervals.push_back(std::move(interval));
  }
  return intervals;
}

std::string LoadSummary(const nlohmann::json& run) {
  const json& counts = run["counts"];
  const json& rates = run["rates"];
  std::string text = fmt::format("{} at {}, {:.4g} s measured, {}\n", run["schedule"].get<std::string>(),
                                 run["server"].get<std::string>(), run["measured_seconds"].get<double>(),
                                 run["end_reason"].get<std::string>());
  if (rates["requested"].is_number())
    text += fmt::format("requested  {:>10.1f}/s\n", rates["requested"].get<double>());
  text += fmt::format("sent       {:>10.1f}/s   {} requests\n", rates["achieved"].get<double>(),
                      counts["started"].get<std::uint64_t>());
  text += fmt::format("succeeded  {:>10.1f}/s   {}\n", rates["succeeded"].get<double>(),
                      counts["succeeded"].get<std::uint64_t>());
  for (const auto& [name, text_of] : {std::pair("failed", "failed"), std::pair("wrong", "  answered wrongly"),
                                      std::pair("unfinished", "  unanswered at the end"),
                                      std::pair("not_sent", "NOT SENT (in-flight cap reached)")}) {
    const auto count = counts[name].get<std::uint64_t>();
    if (count > 0) text += fmt::format("{}: {}\n", text_of, count);
  }
  std::string codes;
  for (const auto& [code, count] : run["codes"].items())
    codes += fmt::format("  {} {}", code, count.get<std::uint64_t>());
  text += "status    " + codes + "\n\n";
  text += fmt::format("{:<22}{:>11}{:>11}{:>11}{:>11}{:>11}{:>11}\n", "", "p50", "p90", "p99", "p99.9", "max",
                      "mean");
  if (run["loop"] == "open") text += Line("from intended start", run["latency"]);
  text += Line("from actual start", run["service"]);
  if (run["loop"] == "open") text += Line("send lag", run["send_lag"]);
  for (const auto& [stage, histogram] : run["stages"].items())
    text += Line(("server: " + stage).c_str(), histogram);
  text += fmt::format("\nclient processor time: {:.2f} cores; quantiles are at most {:.2g} % high\n",
                      run["client"]["cpu_cores"].get<double>(),
                      run["latency"]["relative_error_bound"].get<double>() * 100);
  for (const auto& [how, count] : run["misbehaviour"].items())
    text += fmt::format("misbehaved, {}: {}\n", how, count.get<std::uint64_t>());
  for (const json& objective : run["objectives"]) text += objective["text"].get<std::string>() + "\n";
  return text;
}

}  // namespace filo::client
