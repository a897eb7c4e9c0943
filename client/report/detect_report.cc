#include "client/report/detect_report.h"

#include <algorithm>
#include <cmath>
#include <ctime>
#include <limits>

#include "client/detect/heatmap.h"
#include "client/detect/writers.h"
#include "client/load/parse.h"
#include "client/report/page.h"
#include "fmt/chrono.h"
#include "fmt/format.h"

namespace filo::client {
namespace {

constexpr std::string_view kStyle = R"(<style>
.bar{display:flex;gap:8px;flex-wrap:wrap;align-items:center;margin-bottom:12px}.bar .grow{flex:1}
#parts th{cursor:pointer;user-select:none}#parts th.sorted:after{content:" \25BE"}#parts th.sorted.up:after{content:" \25B4"}
#parts tbody tr:hover{background:var(--shade)}#parts img{display:block;border-radius:8px;cursor:zoom-in;background:var(--shade);max-width:100%}
td.pic{width:190px}.pics{display:flex;gap:6px}.pics img{width:88px;height:88px;object-fit:cover}
.file{font-weight:600;overflow-wrap:anywhere}.notes{color:var(--soft);font-size:13px;margin-top:2px}.phrases{min-width:150px}.phrases span{display:inline-block;white-space:nowrap;background:var(--shade);border-radius:6px;padding:0 7px;margin:1px 4px 1px 0;font-size:13px}.phrases span.c{outline:1.5px solid var(--ng)}
.meter{height:7px;border-radius:4px;background:var(--shade);width:110px;margin-left:auto;position:relative}.meter i{position:absolute;left:0;top:0;bottom:0;border-radius:4px;background:var(--accent)}.meter u{position:absolute;top:-3px;bottom:-3px;width:2px;background:var(--ink)}
dialog{border:0;border-radius:14px;background:var(--card);color:var(--ink);padding:18px;max-width:96vw;box-shadow:0 10px 60px #0008}dialog::backdrop{background:#000a}
dialog .two{display:flex;gap:12px;flex-wrap:wrap;justify-content:center}dialog img{max-width:min(46vw,640px);border-radius:10px}dialog h2{margin:0 0 10px}
@media(max-width:760px){dialog img{max-width:90vw}td.pic{width:auto}}@media print{.bar,dialog{display:none}}
</style>)";

constexpr std::string_view kScript = R"JS(
const table=document.getElementById('parts'),body=table.tBodies[0],heads=[...table.tHead.rows[0].cells];
function value(row,i){const c=row.cells[i];return c.dataset.v!==undefined?parseFloat(c.dataset.v):c.textContent.trim().toLowerCase()}
function sort(i,up){heads.forEach(h=>h.classList.remove('sorted','up'));heads[i].classList.add('sorted');if(up)heads[i].classList.add('up');
 [...body.rows].sort((a,b)=>{const x=value(a,i),y=value(b,i);const d=x<y?-1:x>y?1:0;return up?d:-d}).forEach(r=>body.append(r))}
heads.forEach((h,i)=>{if(h.dataset.sort!==undefined)h.onclick=()=>sort(i,h.classList.contains('sorted')&&!h.classList.contains('up'))});
let wanted='all';const search=document.getElementById('search');
function filter(){const t=search.value.toLowerCase();for(const r of body.rows)r.hidden=!((wanted==='all'||r.dataset.verdict===wanted)&&r.textContent.toLowerCase().includes(t))}
search.oninput=filter;document.querySelectorAll('[data-want]').forEach(b=>b.onclick=()=>{wanted=b.dataset.want;document.querySelectorAll('[data-want]').forEach(x=>x.classList.toggle('on',x===b));filter()});
const dialog=document.querySelector('dialog');body.onclick=e=>{if(e.target.tagName!=='IMG')return;const row=e.target.closest('tr');
 dialog.querySelector('h2').textContent=row.querySelector('.file').textContent;const two=dialog.querySelector('.two');two.replaceChildren(...[...row.querySelectorAll('img')].map(i=>i.cloneNode()));dialog.showModal()};
dialog.onclick=()=>dialog.close();
)JS";

std::string CssClass(const Answer& answer) {
  if (!answer.ok()) return "failed";
  const std::string word = VerdictWord(VerdictOf(answer));
  return word == "NG" ? "ng" : word == "OK" ? "ok" : word == "UNSURE" ? "unsure" : "none";
}

std::string Phrases(const filo::v1::DetectionResult& result) {
  constexpr int kShown = 6;
  std::string html;
  for (int i = 0; i < std::min(result.boxes_size(), kShown); ++i) {
    const auto& box = result.boxes(i);
    html += fmt::format("<span{}>{} {:.2f}</span>", box.counts() ? " class=c" : "", EscapeHtml(box.phrase()),
                        box.confidence());
  }
  if (result.boxes_size() > kShown) html += fmt::format("<span>+{}</span>", result.boxes_size() - kShown);
  return html.empty() ? "<span class=soft>none</span>" : html;
}

}  // namespace

DetectReport::DetectReport(std::string category, std::string server, int picture_side)
    : category_(std::move(category)), server_(std::move(server)), picture_side_(picture_side) {}

void DetectReport::Add(const Answer& answer, const std::string& image) {
  Row row{answer, "", ""};
  if (!image.empty()) {
    // A photograph that the server refused usually cannot be drawn either; the row then has none.
    const auto photograph = DrawThumbnail(image, picture_side_);
    if (photograph.ok()) row.photograph = DataUri("image/jpeg", *photograph);
    HeatmapOptions options;
    options.max_side = picture_side_;
    options.format = ".jpg";
    options.caption = false;
    const auto heatmap = DrawHeatmap(answer, image, options);
    if (answer.ok() && heatmap.ok()) row.heatmap = DataUri("image/jpeg", *heatmap);
  }
  row.answer.image.clear();
  row.answer.result.clear_maps();
  row.answer.result.clear_overlay();
  rows_.push_back(std::move(row));
}

std::string DetectReport::Tiles() const {
  std::size_t ng = 0, ok = 0, unsure = 0, failed = 0;
  double seconds = 0;
  for (const Row& row : rows_) {
    const std::string kind = CssClass(row.answer);
    ng += kind == "ng" ? 1 : 0;
    ok += kind == "ok" ? 1 : 0;
    unsure += kind == "unsure" ? 1 : 0;
    failed += kind == "failed" ? 1 : 0;
    seconds += row.answer.seconds;
  }
  std::string html =
      fmt::format("<div class=tiles><div class=tile><b>{}</b><span>photographs</span></div>", rows_.size());
  const auto tile = [&](std::size_t count, const char* kind, const char* text) {
    html += fmt::format("<div class=tile><b class={}>{}</b><span>{}</span></div>", kind, count, text);
  };
  if (ng + ok + unsure > 0) {
    tile(ng, "ng", "NG");
    tile(ok, "ok", "OK");
    if (unsure > 0) tile(unsure, "unsure", "unsure");
  }
  if (failed > 0) tile(failed, "ng", "could not be judged");
  const auto answered = static_cast<double>(rows_.size() - failed);
  const Nanos mean = answered > 0 ? Seconds(seconds / answered) : Nanos(0);
  html += fmt::format("<div class=tile><b>{}</b><span>mean time to answer</span></div></div>",
                      FormatDuration(mean));
  return html;
}

// Every score as a dot on one line, with the threshold: shows at a glance whether good and bad parts lie
// apart.
std::string DetectReport::ScoreStrip() const {
  double low = std::numeric_limits<double>::infinity(), high = -low;
  std::optional<double> threshold;
  for (const Row& row : rows_) {
    if (!row.answer.ok()) continue;
    low = std::min(low, row.answer.result.score());
    high = std::max(high, row.answer.result.score());
    if (ThresholdOf(row.answer).has_value()) threshold = ThresholdOf(row.answer);
  }
  if (!(low <= high)) return "";
  if (threshold.has_value()) {
    low = std::min(low, *threshold);
    high = std::max(high, *threshold);
  }
  const double margin = std::max(1e-6, (high - low) * 0.06);
  const auto x = [&](double score) { return 20 + 960 * (score - low + margin) / (high - low + 2 * margin); };
  std::string svg =
      "<section><h2>Scores</h2><svg viewBox='0 0 1000 74' role=img aria-label='all scores'><line class=grid "
      "x1=20 x2=980 y1=34 y2=34 />";
  for (std::size_t i = 0; i < rows_.size(); ++i) {
    const Answer& answer = rows_[i].answer;
    if (!answer.ok()) continue;
    const std::string kind = CssClass(answer);
    const char* colour = kind == "ng"       ? "var(--ng)"
                         : kind == "ok"     ? "var(--ok)"
                         : kind == "unsure" ? "var(--unsure)"
                                            : "var(--accent)";
    // A little vertical spread keeps equal scores apart.
    svg += fmt::format(
        "<circle cx={:.1f} cy={:.1f} r=6 fill='{}' fill-opacity=.75><title>{}: {:.4f}</title></circle>",
        x(answer.result.score()), 34 + 9 * std::sin(static_cast<double>(i) * 2.4), colour,
        EscapeHtml(answer.file.name), answer.result.score());
  }
  if (threshold.has_value()) {
    svg += fmt::format(
        "<line x1={0:.1f} x2={0:.1f} y1=8 y2=58 stroke='var(--ink)' stroke-width=1.5 stroke-dasharray='5 3'/>"
        "<text class=axis x={0:.1f} y=71 text-anchor=middle>threshold {1:.4g}</text>",
        x(*threshold), *threshold);
  }
  svg += fmt::format(
      "<text class=axis x=20 y=71>{:.4f}</text><text class=axis x=980 y=71 "
      "text-anchor=end>{:.4f}</text></svg></section>",
      low, high);
  return svg;
}

std::string DetectReport::TableRow(const Row& row, std::size_t index) const {
  const Answer& answer = row.answer;
  std::string pictures;
  for (const std::string* uri : {&row.photograph, &row.heatmap}) {
    if (!uri->empty()) pictures += fmt::format("<img loading=lazy alt='' src='{}'>", *uri);
  }
  std::string notes;
  for (const std::string& warning : answer.result.warnings())
    notes += fmt::format("<div class=notes>{}</div>", EscapeHtml(warning));
  if (!answer.ok()) notes = fmt::format("<div class='notes ng'>{}</div>", EscapeHtml(ErrorLine(answer)));
  const std::string kind = CssClass(answer);
  std::string html = fmt::format(
      "<tr data-verdict={}><td class=pic data-v={}><div class=pics>{}</div></td><td><div "
      "class=file>{}</div>{}</td>",
      kind, index, pictures, EscapeHtml(answer.file.name), notes);
  const std::string word = answer.ok() ? VerdictWord(VerdictOf(answer)) : "FAILED";
  html +=
      fmt::format("<td>{}</td>", word.empty() ? "<span class=soft>none</span>"
                                              : fmt::format("<span class='pill {}'>{}</span>", kind, word));
  if (!answer.ok())
    return html + "<td class=n data-v=-9></td><td></td><td></td><td class=n data-v=-1></td></tr>";
  // The meter spans both profiles' practical range, [0, 1]; the threshold is a tick on it.
  const auto percent = [](double score) { return std::clamp(score, 0.0, 1.0) * 100; };
  const auto threshold = ThresholdOf(answer);
  const std::string tick =
      threshold.has_value() ? fmt::format("<u style='left:{:.1f}%'></u>", percent(*threshold)) : "";
  html += fmt::format(
      "<td class=n data-v={0}>{0:.4f}<div class=meter><i style='width:{1:.1f}%'></i>{2}</div></td>",
      answer.result.score(), percent(answer.result.score()), tick);
  html += fmt::format("<td>{}</td><td class=phrases>{}</td><td class=n data-v={}>{}</td></tr>",
                      answer.result.position().empty() ? "<span class=soft>none</span>"
                                                       : EscapeHtml(answer.result.position()),
                      Phrases(answer.result), answer.seconds, FormatDuration(Seconds(answer.seconds)));
  return html;
}

std::string DetectReport::CategoryText() const {
  std::string text = fmt::format("Category <b>{}</b>", EscapeHtml(category_));
  for (const Row& row : rows_) {
    if (!row.answer.ok() || row.answer.result.model().bundle().empty()) continue;
    const auto& model = row.answer.result.model();
    text += fmt::format(" · model <b>{}</b> <code>{}</code>", EscapeHtml(model.bundle()),
                        EscapeHtml(model.digest().substr(0, 12)));
    break;
  }
  return text;
}

std::string DetectReport::Html() const {
  const std::time_t now = std::time(nullptr);
  const std::string head = fmt::format("{} · server <code>{}</code> · {:%Y-%m-%d %H:%M}", CategoryText(),
                                       EscapeHtml(server_), fmt::localtime(now));
  std::string body = std::string(kStyle) + Tiles() + ScoreStrip();
  body +=
      "<section><div class=bar><button class=on data-want=all>All</button><button data-want=ng>NG</button>"
      "<button data-want=unsure>Unsure</button><button data-want=ok>OK</button><button "
      "data-want=failed>Failed</button>"
      "<span class=grow></span><input type=search id=search placeholder='Find a file or phrase'></div>"
      "<table id=parts><thead><tr><th data-sort>Picture</th><th data-sort>File</th><th data-sort>Verdict</th>"
      "<th class=n data-sort>Score</th><th data-sort>Position</th><th>Found</th><th class=n "
      "data-sort>Time</th></tr></thead><tbody>";
  for (std::size_t i = 0; i < rows_.size(); ++i) body += TableRow(rows_[i], i);
  body += "</tbody></table></section><dialog><h2></h2><div class=two></div></dialog>";
  return Page("Inspection report", head, body, kScript);
}

}  // namespace filo::client
