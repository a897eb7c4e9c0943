// Reads the server's Prometheus metrics while a run is under way.
#pragma once

#include <atomic>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "client/load/clock.h"

namespace filo::client {

// Samples by name, summed over their labels ("filo_queue_depth" -> 3). Histograms' buckets are left out.
// Pure.
std::map<std::string, double> ParseMetrics(const std::string& text);

// GET of an http or https URL. kUnavailable with the reason.
absl::StatusOr<std::string> HttpGet(const std::string& url, Nanos timeout);

// One value over time: seconds since the measured part began, value.
using Series = std::vector<std::pair<double, double>>;

// Scrapes about once a second on a thread of its own. Thread-safe.
class MetricsScraper {
 public:
  // Nothing is scraped if `url` is empty.
  explicit MetricsScraper(std::string url, Nanos period = std::chrono::seconds(1));
  ~MetricsScraper();

  // The moment that counts as 0.
  void SetOrigin(Nanos steady_now);
  // Series of what a person looks at first: processor, memory, threads, queues, requests running. Counters of
  // seconds become rates: "process_cpu_seconds_total" is in cores.
  std::map<std::string, Series> Interesting() const;
  // The last error; empty = none.
  std::string error() const;

 private:
  void Work();

  std::string url_;
  Nanos period_;
  mutable std::mutex mutex_;
  Nanos origin_;
  std::map<std::string, Series> samples_;
  std::string error_;
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

}  // namespace filo::client
