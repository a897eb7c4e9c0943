#include "client/engine/exporter.h"

#include <prometheus/gauge.h>
#include <prometheus/registry.h>

#include <utility>

#include "server/base/status.h"
#include "server/telemetry/metrics_endpoint.h"

namespace filo::client {

struct LoadExporter::Parts {
  std::shared_ptr<prometheus::Registry> registry = std::make_shared<prometheus::Registry>();
  prometheus::Family<prometheus::Gauge>& requests = prometheus::BuildGauge()
                                                        .Name("filo_client_requests_total")
                                                        .Help("Requests of the run by outcome.")
                                                        .Register(*registry);
  prometheus::Family<prometheus::Gauge>& latency =
      prometheus::BuildGauge()
          .Name("filo_client_latency_seconds")
          .Help("Latency from the intended start over the run so far.")
          .Register(*registry);
  prometheus::Gauge& in_flight = prometheus::BuildGauge()
                                     .Name("filo_client_in_flight")
                                     .Help("Requests under way.")
                                     .Register(*registry)
                                     .Add({});
  prometheus::Gauge& wanted_rate = prometheus::BuildGauge()
                                       .Name("filo_client_wanted_rate")
                                       .Help("Requests per second that the schedule asks for now.")
                                       .Register(*registry)
                                       .Add({});
  std::unique_ptr<telemetry::MetricsEndpoint> endpoint;
};

LoadExporter::LoadExporter(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}
LoadExporter::~LoadExporter() = default;

absl::StatusOr<std::unique_ptr<LoadExporter>> LoadExporter::Start(const std::string& address) {
  auto endpoint = telemetry::MetricsEndpoint::Start(address);
  if (!endpoint.ok()) return Annotate(endpoint.status(), "--prometheus");
  auto parts = std::make_unique<Parts>();
  parts->endpoint = *std::move(endpoint);
  parts->endpoint->Add(parts->registry);
  return std::unique_ptr<LoadExporter>(new LoadExporter(std::move(parts)));
}

void LoadExporter::Update(const LiveView& view) {
  const RunStats& stats = view.stats;
  const auto set = [&](const char* outcome, std::uint64_t count) {
    parts_->requests.Add({{"outcome", outcome}}).Set(static_cast<double>(count));
  };
  set("succeeded", stats.succeeded);
  set("failed", stats.failed);
  set("wrong", stats.wrong);
  set("not_sent", stats.not_sent);
  for (const auto& [name, q] :
       {std::pair("0.5", 0.5), std::pair("0.9", 0.9), std::pair("0.99", 0.99), std::pair("0.999", 0.999)}) {
    parts_->latency.Add({{"quantile", name}}).Set(static_cast<double>(stats.latency.Quantile(q)) / 1e9);
  }
  parts_->in_flight.Set(view.in_flight);
  parts_->wanted_rate.Set(view.wanted_rate);
}

int LoadExporter::port() const { return parts_->endpoint->port(); }

}  // namespace filo::client
