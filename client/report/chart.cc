#include "client/report/chart.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "client/report/page.h"
#include "fmt/format.h"

namespace filo::client {
namespace {

constexpr double kWidth = 1000, kLeft = 76, kRight = 36, kTop = 12, kBottom = 44;

struct Scale {
  double low = 0, high = 1;
  bool log = false;
  double from = 0, to = 1;  // pixels

  double At(double value) const {
    const double share = log ? (std::log10(value) - std::log10(low)) / (std::log10(high) - std::log10(low))
                             : (value - low) / (high - low);
    return from + share * (to - from);
  }
  bool CanShow(double value) const { return std::isfinite(value) && (!log || value > 0); }
};

Scale MakeScale(const std::vector<ChartLine>& lines, bool is_x, bool log, double from, double to) {
  Scale scale{std::numeric_limits<double>::infinity(), -std::numeric_limits<double>::infinity(), log, from,
              to};
  for (const ChartLine& line : lines) {
    for (const auto& [x, y] : line.points) {
      const double value = is_x ? x : y;
      if (!scale.CanShow(value)) continue;
      scale.low = std::min(scale.low, value);
      scale.high = std::max(scale.high, value);
    }
  }
  if (!(scale.low <= scale.high)) return {0, 1, false, from, to};
  if (is_x) {
    if (scale.low == scale.high) scale.high = log ? scale.low * 10 : scale.low + 1;
    return scale;
  }
  if (log) {
    scale.low = std::pow(10, std::floor(std::log10(scale.low) + 1e-9));
    scale.high = std::pow(10, std::ceil(std::log10(scale.high) - 1e-9));
    if (scale.low == scale.high) scale.high *= 10;
  } else {
    scale.low = std::min(scale.low, 0.0);
    const auto ticks = NiceTicks(scale.low, scale.high, 5);
    scale.high = ticks.empty() ? scale.low + 1 : std::max(scale.high * 1.02, ticks.back());
    if (scale.high <= scale.low) scale.high = scale.low + 1;
  }
  return scale;
}

std::vector<double> Decades(double low, double high) {
  std::vector<double> ticks;
  for (double tick = low; tick <= high * 1.0001; tick *= 10) ticks.push_back(tick);
  return ticks;
}

std::string Path(const ChartLine& line, const Scale& x, const Scale& y) {
  std::string path;
  bool drawing = false;
  for (const auto& [px, py] : line.points) {
    const bool shown = x.CanShow(px) && y.CanShow(py);
    if (shown) path += fmt::format("{}{:.1f},{:.1f}", drawing ? "L" : "M", x.At(px), y.At(py));
    drawing = shown;
  }
  return path;
}

}  // namespace

std::vector<double> NiceTicks(double low, double high, int count) {
  if (!(high > low) || count < 1) return {};
  const double rough = (high - low) / count;
  const double decade = std::pow(10, std::floor(std::log10(rough)));
  const double step = decade * (rough / decade < 1.5   ? 1
                                : rough / decade < 3.5 ? 2
                                : rough / decade < 7.5 ? 5
                                                       : 10);
  std::vector<double> ticks;
  for (double tick = std::ceil(low / step) * step; tick <= high + step * 1e-9; tick += step)
    ticks.push_back(tick);
  return ticks;
}

std::string LineChart(const std::vector<ChartLine>& lines, const ChartOptions& options) {
  const bool any =
      std::any_of(lines.begin(), lines.end(), [](const ChartLine& line) { return !line.points.empty(); });
  if (!any) return "";
  const double height = options.height;
  const Scale x = MakeScale(lines, true, options.log_x, kLeft, kWidth - kRight);
  const Scale y = MakeScale(lines, false, options.log_y, height - kBottom, kTop);
  std::string svg = fmt::format("<svg viewBox='0 0 {} {}' role=img>", kWidth, height);
  for (const double tick : y.log ? Decades(y.low, y.high) : NiceTicks(y.low, y.high, 5)) {
    svg += fmt::format(
        "<line class=grid x1={} x2={} y1={:.1f} y2={:.1f} /><text class=axis x={} y={:.1f} "
        "text-anchor=end>{}</text>",
        kLeft, kWidth - kRight, y.At(tick), y.At(tick), kLeft - 8, y.At(tick) + 4,
        EscapeHtml(options.format_y(tick)));
  }
  const auto x_ticks = !options.x_ticks.empty() ? options.x_ticks : NiceTicks(x.low, x.high, 8);
  for (const double tick : x_ticks) {
    if (tick < x.low * 0.999 || tick > x.high * 1.001) continue;
    svg += fmt::format(
        "<line class=grid x1={0:.1f} x2={0:.1f} y1={1} y2={2} /><text class=axis x={0:.1f} y={3} "
        "text-anchor=middle>{4}</text>",
        x.At(tick), kTop, height - kBottom, height - kBottom + 16, EscapeHtml(options.format_x(tick)));
  }
  svg += fmt::format("<text class=axis x={} y={} text-anchor=middle>{}</text>", (kLeft + kWidth) / 2,
                     height - 8, EscapeHtml(options.x_label));
  std::string legend;
  for (const ChartLine& line : lines) {
    if (line.points.empty()) continue;
    svg += fmt::format("<path d='{}' fill=none stroke='{}' stroke-width=2 stroke-linejoin=round />",
                       Path(line, x, y), line.colour);
    if (line.points.size() == 1 && x.CanShow(line.points[0].first) && y.CanShow(line.points[0].second)) {
      svg += fmt::format("<circle cx={:.1f} cy={:.1f} r=3 fill='{}' />", x.At(line.points[0].first),
                         y.At(line.points[0].second), line.colour);
    }
    legend += fmt::format("<span><i style='background:{}'></i>{}</span>", line.colour, EscapeHtml(line.name));
  }
  return svg + "</svg><div class=legend>" + legend + "</div>";
}

}  // namespace filo::client
