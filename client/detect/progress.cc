#include "client/detect/progress.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "client/load/parse.h"
#include "fmt/format.h"

namespace filo::client {

ProgressBar::ProgressBar(std::size_t total, bool enabled)
    : total_(total),
      enabled_(enabled && total > 1 && isatty(STDERR_FILENO) == 1),
      start_(std::chrono::steady_clock::now()) {}

ProgressBar::~ProgressBar() { Hide(); }

void ProgressBar::Hide() {
  if (enabled_) fmt::print(stderr, "\r\033[K");
}

void ProgressBar::Step(bool found) {
  ++done_;
  if (found) ++found_;
  if (!enabled_ || done_ == total_) return;
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  fmt::print(stderr, "\r\033[K{}", Draw(done_, total_, found_, seconds, 30));
  std::fflush(stderr);
}

std::string ProgressBar::Draw(std::size_t done, std::size_t total, std::size_t found, double seconds,
                              std::size_t width) {
  const std::size_t filled = total == 0 ? width : std::min(width, width * done / total);
  std::string text =
      fmt::format("[{}{}] {}/{}", std::string(filled, '#'), std::string(width - filled, '-'), done, total);
  if (found > 0) text += fmt::format("  {} NG", found);
  if (done > 0 && seconds > 0) {
    const double rate = static_cast<double>(done) / seconds;
    text += fmt::format("  {:.2g}/s  {} left", rate,
                        FormatDuration(Seconds(static_cast<double>(total - done) / rate)));
  }
  return text;
}

}  // namespace filo::client
