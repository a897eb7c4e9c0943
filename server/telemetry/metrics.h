// Every number that the server exports, in one place: names, labels and buckets.
//
// Thread-safe. Nothing here grows with what clients send: methods come from the contract, stages and reasons
// from the program, and categories only get a label of their own when the caller says that they are
// registered, up to a limit.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "prometheus/counter.h"
#include "prometheus/gauge.h"
#include "prometheus/histogram.h"
#include "prometheus/registry.h"

namespace filo::telemetry {

// Buckets of durations, seconds: 1 ms to 120 s.
const std::vector<double>& DurationBuckets();

class Metrics {
 public:
  // At most `max_category_labels` categories are told apart; the rest share the label "other".
  explicit Metrics(std::size_t max_category_labels = 200);

  std::shared_ptr<prometheus::Registry> registry() const { return registry_; }

  // gRPC: `method` is "/package.Service/Method" of a method that exists, `type` "unary", "bidi_stream", …
  void RpcStarted(std::string_view method, std::string_view type);
  void RpcHandled(std::string_view method, std::string_view type, std::string_view code, double seconds);

  // A stage of the pipeline that ran: "queue", "decode", "grounding", …
  void Stage(std::string_view stage, double seconds);
  // An answered detection. `category` is empty for an inline definition; `verdict` "ok", "ng", "unsure" or
  // "none".
  void Detection(std::string_view category, std::string_view verdict, double score);
  // An image that was refused: "corrupt", "too_large", …
  void ImageRefused(std::string_view reason);
  // A request that was turned away before any work: "queue_full", "too_many_bytes", "draining", …
  void AdmissionRefused(std::string_view reason);
  // A request dropped because its deadline could not be met or had passed, or because its caller went away;
  // `where` is "enqueue", "dequeue" or "stage".
  void Dropped(std::string_view reason, std::string_view where);
  // A bundle that took over (or, `ok` false, was refused).
  void BundleLoaded(bool ok);
  void SetBundle(const std::string& name, const std::string& digest, const std::string& profile);

  prometheus::Gauge& queue_depth(bool backlog) { return backlog ? queue_backlog_ : queue_line_; }
  prometheus::Gauge& bytes_in_flight() { return bytes_in_flight_; }
  prometheus::Gauge& requests_running() { return running_; }
  prometheus::Gauge& workers() { return workers_; }
  prometheus::Gauge& threads_per_worker() { return threads_per_worker_; }
  prometheus::Gauge& serving() { return serving_; }
  prometheus::Gauge& estimated_cost() { return estimated_cost_; }

 private:
  using Labels = prometheus::Labels;
  std::string CategoryLabel(std::string_view category);

  std::shared_ptr<prometheus::Registry> registry_;
  prometheus::Family<prometheus::Counter>& started_;
  prometheus::Family<prometheus::Counter>& handled_;
  prometheus::Family<prometheus::Histogram>& handling_;
  prometheus::Family<prometheus::Histogram>& stages_;
  prometheus::Family<prometheus::Counter>& detections_;
  prometheus::Family<prometheus::Histogram>& scores_;
  prometheus::Family<prometheus::Counter>& images_refused_;
  prometheus::Family<prometheus::Counter>& admission_refused_;
  prometheus::Family<prometheus::Counter>& dropped_;
  prometheus::Family<prometheus::Counter>& bundle_loads_;
  prometheus::Family<prometheus::Gauge>& bundle_info_;
  prometheus::Gauge& queue_line_;
  prometheus::Gauge& queue_backlog_;
  prometheus::Gauge& bytes_in_flight_;
  prometheus::Gauge& running_;
  prometheus::Gauge& workers_;
  prometheus::Gauge& threads_per_worker_;
  prometheus::Gauge& serving_;
  prometheus::Gauge& estimated_cost_;

  std::mutex mutex_;  // guards what follows
  const std::size_t max_category_labels_;
  std::set<std::string, std::less<>> categories_;
  prometheus::Gauge* bundle_ = nullptr;
};

}  // namespace filo::telemetry
