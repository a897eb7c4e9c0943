#include "client/load/clock.h"

#include <cerrno>
#include <ctime>

namespace filo::client {

Nanos SteadyClock::Now() const { return std::chrono::steady_clock::now().time_since_epoch(); }

void SteadyClock::SleepUntil(Nanos when) {
  // steady_clock is CLOCK_MONOTONIC in libstdc++; an absolute sleep does not drift.
  timespec target{};
  target.tv_sec = when.count() / 1'000'000'000;
  target.tv_nsec = when.count() % 1'000'000'000;
  while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &target, nullptr) == EINTR) {
  }
}

}  // namespace filo::client
