#include "server/telemetry/metrics.h"

#include <utility>

namespace filo::telemetry {
namespace {

using prometheus::BuildCounter;
using prometheus::BuildGauge;
using prometheus::BuildHistogram;
using prometheus::Labels;
using prometheus::Registry;

auto& CounterFamily(Registry& registry, const char* name, const char* help) {
  return BuildCounter().Name(name).Help(help).Register(registry);
}
auto& HistogramFamily(Registry& registry, const char* name, const char* help) {
  return BuildHistogram().Name(name).Help(help).Register(registry);
}
auto& GaugeFamily(Registry& registry, const char* name, const char* help) {
  return BuildGauge().Name(name).Help(help).Register(registry);
}
prometheus::Gauge& OneGauge(Registry& registry, const char* name, const char* help,
                            const Labels& labels = {}) {
  return GaugeFamily(registry, name, help).Add(labels);
}

constexpr char kQueueHelp[] = "Requests that wait, by priority.";

// Raw scores reach from about -0.5 to 1 (`released`) and from 0 to 2 (`paper`).
const std::vector<double>& ScoreBuckets() {
  static const std::vector<double> buckets = {-0.25, 0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8,
                                              0.9,   1, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.8, 2};
  return buckets;
}

Labels MethodLabels(std::string_view method, std::string_view type) {
  const std::size_t slash = method.rfind('/');
  const std::size_t first = method.empty() || method[0] != '/' ? 0 : 1;
  if (slash == std::string_view::npos || slash < first) return {{"grpc_method", std::string(method)}};
  return {{"grpc_type", std::string(type)},
          {"grpc_service", std::string(method.substr(first, slash - first))},
          {"grpc_method", std::string(method.substr(slash + 1))}};
}

}  // namespace

const std::vector<double>& DurationBuckets() {
  static const std::vector<double> buckets = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5,
                                              1,     2.5,    5,     10,   20,    30,   60,  120};
  return buckets;
}

Metrics::Metrics(std::size_t max_category_labels)
    : registry_(std::make_shared<Registry>()),
      started_(CounterFamily(*registry_, "grpc_server_started_total", "RPCs that began, by method.")),
      handled_(CounterFamily(*registry_, "grpc_server_handled_total",
                             "RPCs that ended, by method and status code.")),
      handling_(HistogramFamily(*registry_, "grpc_server_handling_seconds",
                                "Time from an RPC's begin to its end.")),
      stages_(HistogramFamily(*registry_, "filo_stage_seconds", "Time that one stage of a detection took.")),
      detections_(
          CounterFamily(*registry_, "filo_detections_total",
                        "Answered detections, by category (inline = described in the request) and verdict.")),
      scores_(HistogramFamily(*registry_, "filo_score", "Raw anomaly scores, by category.")),
      images_refused_(
          CounterFamily(*registry_, "filo_images_refused_total", "Images that were refused, by reason.")),
      admission_refused_(CounterFamily(*registry_, "filo_admission_refused_total",
                                       "Requests turned away before any work, by reason.")),
      dropped_(
          CounterFamily(*registry_, "filo_dropped_total",
                        "Requests given up: their deadline could not be met, or nobody wanted the answer.")),
      bundle_loads_(CounterFamily(*registry_, "filo_bundle_loads_total", "Bundles loaded or refused.")),
      bundle_info_(GaugeFamily(*registry_, "filo_bundle_info", "1 for the bundle that answers now.")),
      queue_line_(OneGauge(*registry_, "filo_queue_depth", kQueueHelp, {{"priority", "line"}})),
      queue_backlog_(OneGauge(*registry_, "filo_queue_depth", kQueueHelp, {{"priority", "backlog"}})),
      bytes_in_flight_(
          OneGauge(*registry_, "filo_bytes_in_flight", "Bytes of requests and replies held now.")),
      running_(OneGauge(*registry_, "filo_requests_running", "Requests that a worker computes now.")),
      workers_(OneGauge(*registry_, "filo_workers", "Requests that may be computed at a time.")),
      threads_per_worker_(
          OneGauge(*registry_, "filo_threads_per_worker", "Threads that share one request's work.")),
      serving_(OneGauge(*registry_, "filo_serving", "1 while the server takes requests, else 0.")),
      estimated_cost_(
          OneGauge(*registry_, "filo_estimated_cost_seconds", "What a request is expected to cost.")),
      max_category_labels_(max_category_labels) {
  OneGauge(*registry_, "filo_build_info", "1; the labels say what is running.", {{"version", FILO_VERSION}})
      .Set(1);
  // Series that alerts are written on exist from the start, at 0.
  for (const char* reason : {"queue_full", "too_many_bytes", "draining"})
    admission_refused_.Add({{"reason", reason}});
  for (const char* result : {"ok", "refused"}) bundle_loads_.Add({{"result", result}});
  images_refused_.Add({{"reason", "corrupt"}});
}

void Metrics::RpcStarted(std::string_view method, std::string_view type) {
  started_.Add(MethodLabels(method, type)).Increment();
}

void Metrics::RpcHandled(std::string_view method, std::string_view type, std::string_view code,
                         double seconds) {
  Labels labels = MethodLabels(method, type);
  handling_.Add(labels, DurationBuckets()).Observe(seconds);
  labels["grpc_code"] = std::string(code);
  handled_.Add(labels).Increment();
}

void Metrics::Stage(std::string_view stage, double seconds) {
  stages_.Add({{"stage", std::string(stage)}}, DurationBuckets()).Observe(seconds);
}

std::string Metrics::CategoryLabel(std::string_view category) {
  if (category.empty()) return "inline";
  const std::lock_guard lock(mutex_);
  if (categories_.find(category) != categories_.end()) return std::string(category);
  if (categories_.size() >= max_category_labels_) return "other";
  return *categories_.emplace(category).first;
}

void Metrics::Detection(std::string_view category, std::string_view verdict, double score) {
  const std::string label = CategoryLabel(category);
  detections_.Add({{"category", label}, {"verdict", std::string(verdict)}}).Increment();
  scores_.Add({{"category", label}}, ScoreBuckets()).Observe(score);
}

void Metrics::ImageRefused(std::string_view reason) {
  images_refused_.Add({{"reason", std::string(reason)}}).Increment();
}

void Metrics::AdmissionRefused(std::string_view reason) {
  admission_refused_.Add({{"reason", std::string(reason)}}).Increment();
}

void Metrics::Dropped(std::string_view reason, std::string_view where) {
  dropped_.Add({{"reason", std::string(reason)}, {"where", std::string(where)}}).Increment();
}

void Metrics::BundleLoaded(bool ok) { bundle_loads_.Add({{"result", ok ? "ok" : "refused"}}).Increment(); }

void Metrics::SetBundle(const std::string& name, const std::string& digest, const std::string& profile) {
  const std::lock_guard lock(mutex_);
  if (bundle_ != nullptr) bundle_info_.Remove(bundle_);
  bundle_ = &bundle_info_.Add({{"bundle", name}, {"digest", digest}, {"profile", profile}});
  bundle_->Set(1);
}

}  // namespace filo::telemetry
