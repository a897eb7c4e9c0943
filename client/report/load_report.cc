#include "client/report/load_report.h"

#include <algorithm>
#include <cmath>

#include "client/load/histogram.h"
#include "client/load/parse.h"
#include "client/report/chart.h"
#include "client/report/load_json.h"
#include "client/report/page.h"
#include "fmt/format.h"

namespace filo::client {
namespace {

using nlohmann::json;

constexpr std::string_view kStyle = R"(<style>
.legend{display:flex;gap:16px;flex-wrap:wrap;color:var(--soft);font-size:13px;margin:4px 0 0 60px}.legend i{display:inline-block;width:14px;height:3px;border-radius:2px;margin-right:6px;vertical-align:middle}
.two{display:grid;grid-template-columns:repeat(auto-fit,minmax(420px,1fr));gap:18px}.two section{margin:0}
.bar{height:10px;border-radius:5px;background:var(--accent);min-width:2px}.bar.ng{background:var(--ng)}td.w{width:45%}
.message{padding:12px 16px;border-radius:10px;background:var(--card);border:1px solid var(--line);margin:12px 0}.message.good{border-left:4px solid var(--ok)}.message.warn{border-left:4px solid var(--unsure)}.message.bad{border-left:4px solid var(--ng)}
</style>)";

std::string Time(double seconds) { return FormatDuration(Seconds(seconds)); }
std::string Quantile(const json& histogram, const char* name) {
  return Time(histogram["quantiles"][name].get<double>());
}
std::string Plain(double value) { return fmt::format("{:.4g}", value); }

std::string Tile(const std::string& value, const std::string& text, const char* kind = "") {
  return fmt::format("<div class=tile><b class='{}'>{}</b><span>{}</span></div>", kind, EscapeHtml(value),
                     EscapeHtml(text));
}

std::string Tiles(const json& run) {
  const json& rates = run["rates"];
  std::string html = "<div class=tiles>";
  if (rates["requested"].is_number())
    html += Tile(fmt::format("{:.1f}/s", rates["requested"].get<double>()), "requested");
  html += Tile(fmt::format("{:.1f}/s", rates["achieved"].get<double>()), "sent");
  html += Tile(fmt::format("{:.1f}/s", rates["succeeded"].get<double>()), "succeeded");
  html += Tile(Quantile(run["latency"], "p50"), "median latency");
  html += Tile(Quantile(run["latency"], "p99"), "99th percentile");
  html += Tile(Quantile(run["latency"], "p100"), "slowest");
  const double errors = run["error_share"].get<double>();
  html += Tile(fmt::format("{:.3g} %", errors * 100), "failed or not sent", errors > 0 ? "ng" : "ok");
  return html + "</div>";
}

std::string Messages(const json& run) {
  std::string html;
  const auto message = [&](const char* kind, const std::string& text) {
    html += fmt::format("<div class='message {}'>{}</div>", kind, EscapeHtml(text));
  };
  if (run["client"]["bottleneck"].get<bool>())
    message("bad", "Not valid: " + run["client"]["reason"].get<std::string>() + ".");
  if (run["aborted"].get<bool>())
    message("bad", "Ended early: " + run["end_reason"].get<std::string>() + ".");
  const auto not_sent = run["counts"]["not_sent"].get<std::uint64_t>();
  if (not_sent > 0) {
    message("warn",
            fmt::format(
                "{} requests were due but never sent, because the in-flight cap was reached. They are in no "
                "latency below and count as errors.",
                not_sent));
  }
  const auto wrong = run["counts"]["wrong"].get<std::uint64_t>();
  if (wrong > 0) message("bad", fmt::format("{} answers differ from the reference answers.", wrong));
  for (const json& objective : run["objectives"]) {
    message(objective["held"].get<bool>() ? "good" : "bad", objective["text"].get<std::string>());
  }
  return html;
}

std::string OverTime(const json& run) {
  const std::vector<Interval> intervals = IntervalsOf(run);
  ChartLine p50{"p50", "var(--accent)", {}}, p90{"p90", "var(--unsure)", {}}, p99{"p99", "var(--ng)", {}},
      slowest{"slowest", "var(--soft)", {}};
  ChartLine due{"due", "var(--soft)", {}}, good{"succeeded", "var(--ok)", {}},
      failed{"failed", "var(--ng)", {}}, unsent{"not sent", "var(--unsure)", {}};
  for (const Interval& interval : intervals) {
    const double at = ToSeconds(interval.start), length = std::max(1e-9, ToSeconds(interval.length));
    if (interval.latency.Count() > 0) {
      p50.points.emplace_back(at, static_cast<double>(interval.latency.Quantile(0.5)) / 1e9);
      p90.points.emplace_back(at, static_cast<double>(interval.latency.Quantile(0.9)) / 1e9);
      p99.points.emplace_back(at, static_cast<double>(interval.latency.Quantile(0.99)) / 1e9);
      slowest.points.emplace_back(at, static_cast<double>(interval.latency.Max()) / 1e9);
    }
    due.points.emplace_back(at, static_cast<double>(interval.due) / length);
    good.points.emplace_back(at, static_cast<double>(interval.succeeded) / length);
    failed.points.emplace_back(at, static_cast<double>(interval.failed) / length);
    unsent.points.emplace_back(at, static_cast<double>(interval.not_sent) / length);
  }
  const auto seconds = [](double value) { return fmt::format("{:g} s", value); };
  std::string html = "<section><h2>Latency over time, by intended start</h2>";
  html += LineChart({slowest, p99, p90, p50},
                    {"time of the intended start", true, false, seconds, Time, {}, 320}) +
          "</section>";
  html += "<section><h2>Requests per second</h2>";
  html += LineChart({due, good, failed, unsent},
                    {"time of the intended start", false, false, seconds, Plain, {}, 260}) +
          "</section>";
  return html;
}

// One line per tenfold step towards 100 %, as HdrHistogram's plots have it.
std::string PercentileCurve(const json& run) {
  const auto line = [&](const char* field, const char* name, const char* colour) {
    ChartLine curve{name, colour, {}};
    const auto total = run[field]["count"].get<double>();
    double seen = 0;
    for (const json& bucket : run[field]["buckets"]) {
      seen += bucket[1].get<double>();
      const double beyond = std::max(total - seen, 0.5);
      curve.points.emplace_back(total / beyond, bucket[0].get<double>() / 1e9);
    }
    return curve;
  };
  const auto percentile = [](double x) { return fmt::format("{:.6g} %", 100 * (1 - 1 / x)); };
  std::vector<ChartLine> curves;
  if (run["loop"] == "open") curves.push_back(line("latency", "from the intended start", "var(--accent)"));
  curves.push_back(line("service", "from the actual start (service time)", "var(--ok)"));
  const std::string chart = LineChart(
      curves, {"percentile", true, true, percentile, Time, {1, 2, 10, 100, 1e3, 1e4, 1e5, 1e6}, 320});
  if (chart.empty()) return "";
  return "<section><h2>Percentile curve</h2>" + chart + "</section>";
}

std::string LatencyTable(const json& run) {
  std::string html = "<section><h2>Latency</h2><table><tr><th></th>";
  const char* const quantiles[] = {"p50", "p75", "p90", "p95", "p99", "p99.9", "p100"};
  for (const char* name : quantiles)
    html += fmt::format("<th class=n>{}</th>", std::string(name) == "p100" ? "max" : name);
  html += "<th class=n>mean</th><th class=n>count</th></tr>";
  const auto row = [&](const std::string& name, const json& histogram) {
    if (histogram["count"].get<std::uint64_t>() == 0) return;
    html += fmt::format("<tr><td>{}</td>", EscapeHtml(name));
    for (const char* quantile : quantiles)
      html += fmt::format("<td class=n>{}</td>", Quantile(histogram, quantile));
    html += fmt::format("<td class=n>{}</td><td class=n>{}</td></tr>", Time(histogram["mean"].get<double>()),
                        histogram["count"].get<std::uint64_t>());
  };
  row("from the intended start", run["latency"]);
  row("from the actual start", run["service"]);
  row("failures only", run["failed_latency"]);
  row("send lag of the client", run["send_lag"]);
  if (run["categories"].size() > 1) {
    for (const auto& [name, histogram] : run["categories"].items()) row("category " + name, histogram);
  }
  return html +
         fmt::format(
             "</table><p class=soft>Quantiles are never too low and at most {:.2g} % too high.</p></section>",
             run["latency"]["relative_error_bound"].get<double>() * 100);
}

std::string Bars(const std::string& title, const json& values,
                 const std::function<std::string(double)>& shown, bool mark_ok) {
  if (values.empty()) return "";
  double top = 0;
  for (const auto& [name, value] : values.items()) top = std::max(top, value.get<double>());
  std::string html = fmt::format("<section><h2>{}</h2><table>", title);
  for (const auto& [name, value] : values.items()) {
    const double share = top > 0 ? 100 * value.get<double>() / top : 0;
    html += fmt::format(
        "<tr><td>{}</td><td class=w><div class='bar {}' style='width:{:.1f}%'></div></td><td "
        "class=n>{}</td></tr>",
        EscapeHtml(name), mark_ok && name != "OK" ? "ng" : "", share, shown(value.get<double>()));
  }
  return html + "</table></section>";
}

std::string Breakdown(const json& run) {
  const auto count = [](double value) { return fmt::format("{:.0f}", value); };
  json stages = json::object();
  for (const auto& [stage, histogram] : run["stages"].items()) stages[stage] = histogram["mean"];
  std::string html = "<div class=two>";
  html += Bars("Status codes", run["codes"], count, true);
  html += Bars("Mean time in the server's stages", stages, Time, false);
  html += Bars("Verdicts", run["verdicts"], count, false);
  html += Bars("Misbehaving clients", run["misbehaviour"], count, false);
  return html + "</div>";
}

std::string ServerSeries(const json& run) {
  std::string html;
  const auto seconds = [](double value) { return fmt::format("{:g} s", value); };
  for (const auto& [name, samples] : run["server_series"].items()) {
    ChartLine line{name, "var(--accent)", {}};
    for (const json& sample : samples)
      line.points.emplace_back(sample[0].get<double>(), sample[1].get<double>());
    const bool bytes = name.find("bytes") != std::string::npos;
    const auto shown = [bytes](double value) {
      return bytes ? fmt::format("{:.4g} MB", value / 1e6) : Plain(value);
    };
    const std::string chart = LineChart({line}, {"time", false, false, seconds, shown, {}, 220});
    const std::string unit = name == "process_cpu_seconds_total" ? " (cores in use)" : "";
    if (!chart.empty())
      html += fmt::format("<section><h2>{}{}</h2>{}</section>", EscapeHtml(name), unit, chart);
  }
  return html.empty()
             ? ""
             : "<h2 style='margin-top:26px'>The server meanwhile</h2><div class=two>" + html + "</div>";
}

std::string Settings(const json& run) {
  std::string html = "<section><h2>Settings</h2><table>";
  const auto row = [&](const std::string& name, const std::string& value) {
    html += fmt::format("<tr><td>{}</td><td><code>{}</code></td></tr>", EscapeHtml(name), EscapeHtml(value));
  };
  row("method", run["method"].get<std::string>());
  row("loop", run["loop"].get<std::string>());
  row("corpus", run["corpus"].dump());
  for (const auto& [name, value] : run["settings"].items()) row(name, value.dump());
  row("requests while warming up", run["counts"]["warm_up"].dump());
  row("client's processor time", fmt::format("{:.2f} cores", run["client"]["cpu_cores"].get<double>()));
  return html + "</table></section>";
}

}  // namespace

std::string LoadReportHtml(const nlohmann::json& run) {
  const std::string label = run.value("label", "");
  const std::string head = fmt::format(
      "{} against <code>{}</code> · {} · {:.4g} s measured", EscapeHtml(run["schedule"].get<std::string>()),
      EscapeHtml(run["server"].get<std::string>()), EscapeHtml(run["started_at"].get<std::string>()),
      run["measured_seconds"].get<double>());
  const std::string body = std::string(kStyle) + Tiles(run) + Messages(run) + OverTime(run) +
                           PercentileCurve(run) + LatencyTable(run) + Breakdown(run) + ServerSeries(run) +
                           Settings(run);
  return Page(label.empty() ? "Load run" : "Load run: " + label, head, body, "");
}

}  // namespace filo::client
