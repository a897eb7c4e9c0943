#include "client/command/live_view.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "client/load/parse.h"
#include "fmt/format.h"

namespace filo::client {
namespace {

constexpr const char* kSparks[] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
constexpr std::size_t kSparkWidth = 60;

// p99 of the last intervals, on a scale of their own.
std::string Sparkline(const std::vector<Interval>& intervals) {
  const std::size_t begin = intervals.size() > kSparkWidth ? intervals.size() - kSparkWidth : 0;
  std::int64_t top = 1;
  for (std::size_t i = begin; i < intervals.size(); ++i)
    top = std::max(top, intervals[i].latency.Quantile(0.99));
  std::string line;
  for (std::size_t i = begin; i < intervals.size(); ++i) {
    const auto level = static_cast<std::size_t>(7 * static_cast<double>(intervals[i].latency.Quantile(0.99)) /
                                                static_cast<double>(top));
    line += intervals[i].latency.Count() == 0 ? " " : kSparks[std::min<std::size_t>(level, 7)];
  }
  return line;
}

}  // namespace

LiveScreen::LiveScreen(bool enabled) : enabled_(enabled && isatty(STDERR_FILENO) == 1) {}
LiveScreen::~LiveScreen() { Clear(); }

void LiveScreen::Clear() {
  if (lines_ > 0) fmt::print(stderr, "\033[{}A\033[J", lines_);
  lines_ = 0;
}

void LiveScreen::Draw(const LiveView& view) {
  if (!enabled_) return;
  const double seconds = ToSeconds(view.since_start - last_time_);
  const std::string text = Text(view, last_succeeded_, seconds);
  last_succeeded_ = view.stats.succeeded;
  last_time_ = view.since_start;
  Clear();
  fmt::print(stderr, "{}", text);
  std::fflush(stderr);
  lines_ = static_cast<int>(std::count(text.begin(), text.end(), '\n'));
}

std::string LiveScreen::Text(const LiveView& view, std::uint64_t last, double seconds) {
  if (view.since_start < Nanos(0))
    return fmt::format("warming up, {} left; {} in flight\n", FormatDuration(-view.since_start),
                       view.in_flight);
  const RunStats& stats = view.stats;
  const double rate =
      seconds > 0 ? static_cast<double>(stats.succeeded - std::min(last, stats.succeeded)) / seconds : 0;
  std::string text = fmt::format("{:>8}   wanted {:.1f}/s   succeeding {:.1f}/s   {} in flight\n",
                                 FormatDuration(view.since_start), view.wanted_rate, rate, view.in_flight);
  text += fmt::format("{} succeeded   {} failed   {} wrong   {} not sent\n", stats.succeeded, stats.failed,
                      stats.wrong, stats.not_sent);
  const auto quantile = [&](double q) { return FormatDuration(Nanos(stats.latency.Quantile(q))); };
  text += fmt::format("latency p50 {}   p90 {}   p99 {}   max {}   send lag p99 {}\n", quantile(0.5),
                      quantile(0.9), quantile(0.99), quantile(1),
                      FormatDuration(Nanos(stats.send_lag.Quantile(0.99))));
  return text + "p99 " + Sparkline(stats.intervals.Intervals()) + "\n";
}

}  // namespace filo::client
