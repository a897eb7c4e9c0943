// A run under way, redrawn in place on a terminal.
#pragma once

#include <string>

#include "client/engine/engine.h"

namespace filo::client {

// Thread-compatible.
class LiveScreen {
 public:
  // Draws on standard error if it is a terminal and `enabled`.
  explicit LiveScreen(bool enabled);
  ~LiveScreen();
  LiveScreen(const LiveScreen&) = delete;
  LiveScreen& operator=(const LiveScreen&) = delete;

  void Draw(const LiveView& view);
  // Takes it off the screen.
  void Clear();

  // The lines, for tests. `last` is the count of successes at the view before, `seconds` the time since then.
  static std::string Text(const LiveView& view, std::uint64_t last, double seconds);

 private:
  bool enabled_;
  int lines_ = 0;
  std::uint64_t last_succeeded_ = 0;
  Nanos last_time_{0};
};

}  // namespace filo::client
