// The HTML form of the report: everything inline, drawn as SVG here, so that the page needs no script to be
// read.
#include <algorithm>
#include <cmath>

#include "absl/strings/escaping.h"
#include "fmt/format.h"
#include "server/evaluation/report.h"

namespace filo::evaluation {
namespace {

constexpr int kPlotWidth = 260, kPlotHeight = 180, kMargin = 28;

std::string Escape(std::string_view text) {
  std::string escaped;
  for (char c : text) {
    switch (c) {
      case '<':
        escaped += "&lt;";
        break;
      case '>':
        escaped += "&gt;";
        break;
      case '&':
        escaped += "&amp;";
        break;
      case '"':
        escaped += "&quot;";
        break;
      default:
        escaped += c;
    }
  }
  return escaped;
}

std::string Frame(std::string_view title, std::string_view x_label, const std::string& body) {
  return fmt::format(
      "<figure><figcaption>{}</figcaption><svg viewBox='0 0 {} {}' role='img'>"
      "<rect x='{m}' y='8' width='{pw}' height='{ph}' class='frame'/>{}"
      "<text x='{cx}' y='{by}' class='axis' text-anchor='middle'>{}</text></svg></figure>",
      title, kPlotWidth + kMargin + 10, kPlotHeight + 40, body, x_label, fmt::arg("m", kMargin),
      fmt::arg("pw", kPlotWidth), fmt::arg("ph", kPlotHeight), fmt::arg("cx", kMargin + kPlotWidth / 2),
      fmt::arg("by", kPlotHeight + 34));
}

double X(double fraction) { return kMargin + fraction * kPlotWidth; }
double Y(double fraction) { return 8 + (1 - fraction) * kPlotHeight; }

std::string Ticks() {
  std::string ticks;
  for (double v : {0.0, 0.5, 1.0}) {
    ticks += fmt::format("<text x='{:.0f}' y='{}' class='axis' text-anchor='middle'>{}</text>", X(v),
                         kPlotHeight + 20, v);
    ticks += fmt::format("<text x='{}' y='{:.0f}' class='axis' text-anchor='end'>{}</text>", kMargin - 4,
                         Y(v) + 3, v);
  }
  return ticks;
}

std::string CurvePath(const std::vector<Point>& points, std::string_view css) {
  if (points.empty()) return {};
  std::string path = "<polyline points='";
  for (const Point& p : points) path += fmt::format("{:.1f},{:.1f} ", X(p.x), Y(p.y));
  return path + fmt::format("' class='{}'/>", css);
}

// Scores of good and anomalous images side by side, 24 bins over their common range.
std::string Histogram(const CategoryResult& result) {
  constexpr int kBins = 24;
  double low = INFINITY, high = -INFINITY;
  for (const SampleResult& s : result.samples) {
    low = std::min(low, s.score);
    high = std::max(high, s.score);
  }
  if (!(high > low)) high = low + 1e-9;
  double counts[2][kBins] = {};
  double top = 1;
  for (const SampleResult& s : result.samples) {
    const int bin = std::min(kBins - 1, static_cast<int>((s.score - low) / (high - low) * kBins));
    top = std::max(top, counts[s.sample.anomalous ? 1 : 0][bin] += 1);
  }
  std::string body;
  for (int kind = 0; kind < 2; ++kind) {
    for (int bin = 0; bin < kBins; ++bin) {
      if (counts[kind][bin] == 0) continue;
      const double height = counts[kind][bin] / top;
      body += fmt::format("<rect x='{:.1f}' y='{:.1f}' width='{:.1f}' height='{:.1f}' class='{}'/>",
                          X(static_cast<double>(bin) / kBins), Y(height), kPlotWidth / double{kBins} - 1,
                          height * kPlotHeight, kind == 1 ? "bad" : "good");
    }
  }
  if (result.threshold && *result.threshold >= low && *result.threshold <= high) {
    const double x = X((*result.threshold - low) / (high - low));
    body += fmt::format("<line x1='{0:.1f}' x2='{0:.1f}' y1='8' y2='{1}' class='threshold'/>", x,
                        kPlotHeight + 8);
  }
  body += fmt::format("<text x='{}' y='{}' class='axis'>{:.3f}</text>", kMargin, kPlotHeight + 20, low);
  body += fmt::format("<text x='{}' y='{}' class='axis' text-anchor='end'>{:.3f}</text>",
                      kMargin + kPlotWidth, kPlotHeight + 20, high);
  return Frame("Scores: <b class='good'>good</b> and <b class='bad'>anomalous</b>", "score", body);
}

std::string Misses(const CategoryResult& result) {
  if (result.misses.empty()) return {};
  std::string html =
      "<h3>Worst misses and worst false alarms</h3><p class='note'>Photograph, map over it; the truth "
      "outlined in "
      "green.</p><div class='pictures'>";
  for (const Picture& picture : result.misses) {
    const SampleResult& sample = result.samples[picture.sample];
    if (picture.jpeg.empty()) continue;
    const absl::string_view bytes(reinterpret_cast<const char*>(picture.jpeg.data()), picture.jpeg.size());
    html += fmt::format(
        "<figure><img alt='' src='data:image/jpeg;base64,{}'><figcaption><b class='{}'>{}</b> "
        "{:.4f}<br>{}</figcaption></figure>",
        absl::Base64Escape(bytes), sample.sample.anomalous ? "bad" : "good", Escape(sample.sample.defect),
        sample.score, Escape(sample.sample.image.substr(sample.sample.image.find_last_of('/') + 1)));
  }
  return html + "</div>";
}

constexpr std::string_view kStyle = R"(
:root{color-scheme:light dark;--ink:#1c2430;--soft:#667;--line:#d5dae2;--card:#fff;--page:#f4f6f9;--good:#2a7fd0;--bad:#d2452d}
@media(prefers-color-scheme:dark){:root{--ink:#e6e9ef;--soft:#9aa3b2;--line:#333b48;--card:#1b212b;--page:#12161d;--good:#5aa9f0;--bad:#f0765f}}
body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--page);margin:0 auto;max-width:1060px;padding:24px}
h1{font-size:24px;margin:0}h2{margin:0 0 8px;font-size:19px}h3{font-size:15px;margin:18px 0 0}.note,dd,dt{color:var(--soft)}
section,table{background:var(--card);border:1px solid var(--line);border-radius:10px}section{padding:18px;margin:18px 0}
table{border-collapse:separate;border-spacing:0;width:100%;margin:18px 0;font-variant-numeric:tabular-nums}
th,td{padding:7px 9px;text-align:right;border-bottom:1px solid var(--line)}th:first-child,td:first-child{text-align:left}
tr:last-child td{border-bottom:0}tr.mean td{font-weight:600}.plots,.pictures{display:flex;flex-wrap:wrap;gap:14px}
figure{margin:0;flex:1 1 290px;max-width:320px}.pictures figure{max-width:328px}figcaption{font-size:13px;color:var(--soft)}
svg{width:100%;height:auto}img{width:100%;border-radius:6px}.frame{fill:none;stroke:var(--line)}.axis{font-size:10px;fill:var(--soft)}
polyline{fill:none;stroke-width:1.8}.pixel{stroke:var(--bad)}.image{stroke:var(--good)}rect.good{fill:var(--good);opacity:.6}
rect.bad{fill:var(--bad);opacity:.6}b.good{color:var(--good)}b.bad{color:var(--bad)}.threshold{stroke:var(--ink);stroke-dasharray:4 3}
dl{display:grid;grid-template-columns:max-content 1fr;gap:2px 14px;margin:12px 0}dd{margin:0;overflow-wrap:anywhere})";

std::string Percent(std::optional<double> value) { return value ? fmt::format("{:.1f}", *value * 100) : "–"; }

std::string SummaryTable(const nlohmann::json& report) {
  static constexpr std::pair<const char*, const char*> kColumns[] = {{"image_auroc", "image AUROC"},
                                                                     {"image_ap", "AP"},
                                                                     {"image_f1_max", "F1-max"},
                                                                     {"pixel_auroc", "pixel AUROC"},
                                                                     {"pixel_ap", "AP"},
                                                                     {"pixel_f1_max", "F1-max"},
                                                                     {"aupro", "AUPRO"},
                                                                     {"false_alarm_rate", "false alarms"},
                                                                     {"miss_rate", "missed"}};
  std::string html = "<table><thead><tr><th>category</th><th>good / bad</th>";
  for (const auto& [key, title] : kColumns) html += fmt::format("<th>{}</th>", title);
  html += "<th>s / image</th></tr></thead><tbody>";
  const auto row = [&](const nlohmann::json& values) {
    std::string cells;
    for (const auto& [key, title] : kColumns) {
      const nlohmann::json& value = values.at(key);
      cells += fmt::format("<td>{}</td>",
                           Percent(value.is_null() ? std::nullopt : std::optional(value.get<double>())));
    }
    return cells;
  };
  for (const auto& category : report["categories"]) {
    html += fmt::format("<tr><td><a href='#{0}'>{0}</a></td><td>{1} / {2}</td>{3}<td>{4:.2f}</td></tr>",
                        Escape(category["name"].get<std::string>()), category["good"].get<int>(),
                        category["anomalous"].get<int>(), row(category),
                        category["median_seconds"].get<double>());
  }
  if (report["categories"].size() > 1) {
    html += fmt::format("<tr class='mean'><td>mean</td><td></td>{}<td></td></tr>", row(report["mean"]));
  }
  return html + "</tbody></table>";
}

std::string CategorySection(const CategoryResult& result) {
  const std::string diagonal =
      fmt::format("<line x1='{}' y1='{}' x2='{}' y2='{}' class='frame'/>", X(0), Y(0), X(1), Y(1));
  return fmt::format(
      "<section id='{0}'><h2>{0}</h2><div class='plots'>{1}{2}{3}</div>{4}</section>", Escape(result.name),
      Frame(fmt::format("ROC: <b class='good'>image</b> {}, <b class='bad'>pixel</b> {}",
                        Percent(result.image.auroc), Percent(result.pixel.auroc)),
            "false-positive rate",
            Ticks() + diagonal + CurvePath(result.pixel.roc, "pixel") + CurvePath(result.image.roc, "image")),
      Frame(fmt::format("Precision over recall: <b class='good'>image</b> {}, <b class='bad'>pixel</b> {}",
                        Percent(result.image.ap), Percent(result.pixel.ap)),
            "recall",
            Ticks() + CurvePath(result.pixel.precision_recall, "pixel") +
                CurvePath(result.image.precision_recall, "image")),
      Histogram(result), Misses(result));
}

}  // namespace

std::string ReportHtml(const RunInfo& info, const std::vector<CategoryResult>& results) {
  std::string html = fmt::format(
      "<!doctype html><html lang='en'><head><meta charset='utf-8'><meta name='viewport' "
      "content='width=device-width,initial-scale=1'><title>filo-eval: "
      "{0}</title><style>{1}</style></head><body>"
      "<h1>Evaluation of {0}</h1><dl><dt>with</dt><dd>{2}</dd><dt>bundle</dt><dd>{3} "
      "({4})</dd><dt>profile</dt><dd>{5}, "
      "{6} reference photographs a category</dd><dt>date</dt><dd>{7}</dd></dl>"
      "<p class='note'>Figures in per cent; AUPRO up to a false-positive rate of {8}. False alarms and "
      "misses are those of "
      "the threshold that a few good training photographs would set (dashed line).</p>",
      Escape(info.dataset), kStyle, Escape(info.source), Escape(info.bundle_name), Escape(info.bundle_digest),
      Escape(info.profile), info.references, Escape(info.date), info.max_fpr);
  html += SummaryTable(ReportJson(info, results, false));
  for (const CategoryResult& result : results) html += CategorySection(result);
  return html + "</body></html>\n";
}

}  // namespace filo::evaluation
