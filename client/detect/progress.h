// A progress bar for people who wait at a terminal.
#pragma once

#include <chrono>
#include <cstddef>
#include <string>

namespace filo::client {

// Draws on standard error, and only if that is a terminal. Thread-compatible.
class ProgressBar {
 public:
  // `enabled` false: does nothing.
  ProgressBar(std::size_t total, bool enabled);
  ~ProgressBar();
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;

  // Takes the bar off the screen so that other output can be written.
  void Hide();
  // One more is done; redraws.
  void Step(bool found);

  // The bar as text, for tests: "[####----] 5/10  2 NG  1.2/s  4 s left".
  static std::string Draw(std::size_t done, std::size_t total, std::size_t found, double seconds,
                          std::size_t width);

 private:
  std::size_t total_;
  std::size_t done_ = 0;
  std::size_t found_ = 0;
  bool enabled_;
  std::chrono::steady_clock::time_point start_;
};

}  // namespace filo::client
