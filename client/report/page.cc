#include "client/report/page.h"

#include "absl/strings/escaping.h"
#include "fmt/format.h"

namespace filo::client {
namespace {

constexpr std::string_view kStyle = R"(
:root{color-scheme:light dark;--ink:#1c2430;--soft:#5d6775;--line:#d9dee6;--card:#fff;--page:#f3f5f8;--accent:#2a6fc9;--ok:#2c8a4b;--ng:#cf3f2c;--unsure:#b7790a;--shade:#eef2f7}
@media(prefers-color-scheme:dark){:root{--ink:#e6e9ef;--soft:#9aa3b2;--line:#323a47;--card:#1b212b;--page:#12161d;--accent:#6aa9f5;--ok:#57c07a;--ng:#f27a66;--unsure:#e0a83e;--shade:#232a36}}
*{box-sizing:border-box}body{font:15px/1.5 system-ui,"Segoe UI",Roboto,"DejaVu Sans",sans-serif;color:var(--ink);background:var(--page);margin:0 auto;max-width:1240px;padding:28px 24px 60px}
h1{font-size:25px;margin:0;letter-spacing:-.01em}h2{font-size:17px;margin:0 0 12px}.lead{color:var(--soft);margin:4px 0 22px}
section{background:var(--card);border:1px solid var(--line);border-radius:12px;padding:18px 20px;margin:18px 0;box-shadow:0 1px 2px #0000000d}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:12px;margin:18px 0}
.tile{background:var(--card);border:1px solid var(--line);border-radius:12px;padding:13px 16px}.tile b{display:block;font-size:25px;line-height:1.25;font-variant-numeric:tabular-nums;letter-spacing:-.01em}.tile span{color:var(--soft);font-size:13px}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}th,td{padding:8px 10px;text-align:left;border-bottom:1px solid var(--line);vertical-align:middle}
th{font-size:12.5px;font-weight:600;color:var(--soft);white-space:nowrap}td.n,th.n{text-align:right;white-space:nowrap}tr:last-child td{border-bottom:0}
.ok{color:var(--ok)}.ng{color:var(--ng)}.unsure{color:var(--unsure)}.soft{color:var(--soft)}
.pill{display:inline-block;min-width:62px;text-align:center;padding:1px 10px;border-radius:99px;font-size:12.5px;font-weight:700;color:#fff;background:#7a8494}.pill.ok{background:var(--ok);color:#fff}.pill.ng{background:var(--ng);color:#fff}.pill.unsure{background:var(--unsure);color:#fff}.pill.failed{background:#444b57}
svg{display:block;width:100%;height:auto}.axis{font-size:11px;fill:var(--soft)}.grid{stroke:var(--line);stroke-width:1}
code{font:13px ui-monospace,"DejaVu Sans Mono",monospace;background:var(--shade);padding:1px 5px;border-radius:5px;overflow-wrap:anywhere}

button,select,input[type=search]{font:inherit;color:inherit;background:var(--card);border:1px solid var(--line);border-radius:8px;padding:5px 11px}button{cursor:pointer}button.on{background:var(--accent);border-color:var(--accent);color:#fff}
)";

}  // namespace

std::string EscapeHtml(std::string_view text) {
  std::string escaped;
  escaped.reserve(text.size());
  for (const char c : text) {
    switch (c) {
      case '&':
        escaped += "&amp;";
        break;
      case '<':
        escaped += "&lt;";
        break;
      case '>':
        escaped += "&gt;";
        break;
      case '"':
        escaped += "&quot;";
        break;
      case '\'':
        escaped += "&#39;";
        break;
      default:
        escaped += c;
    }
  }
  return escaped;
}

std::string DataUri(std::string_view mime_type, std::string_view bytes) {
  return fmt::format("data:{};base64,{}", mime_type, absl::Base64Escape({bytes.data(), bytes.size()}));
}

std::string Page(std::string_view title, std::string_view head_line, std::string_view body,
                 std::string_view script) {
  std::string page = fmt::format(
      "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
      "<meta name=\"viewport\" "
      "content=\"width=device-width,initial-scale=1\"><title>{0}</title><style>{1}</style></head>\n"
      "<body><h1>{0}</h1><p class=\"lead\">{2}</p>\n{3}\n",
      EscapeHtml(title), kStyle, head_line, body);
  if (!script.empty()) page += fmt::format("<script>{}</script>\n", script);
  return page + "</body></html>\n";
}

std::string ScriptJson(std::string json) {
  for (std::size_t at = json.find("</"); at != std::string::npos; at = json.find("</", at))
    json.replace(at, 2, "<\\/");
  return json;
}

}  // namespace filo::client
