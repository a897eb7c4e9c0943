// The run's own numbers as a Prometheus endpoint, so that a dashboard can show client and server side by
// side.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "client/engine/engine.h"

namespace filo::client {

// Metrics: filo_client_requests_total{outcome}, filo_client_in_flight, filo_client_wanted_rate,
// filo_client_latency_seconds{quantile}. Updated by Update(); thread-compatible.
class LoadExporter {
 public:
  // `address`: HOST:PORT; port 0 picks one.
  static absl::StatusOr<std::unique_ptr<LoadExporter>> Start(const std::string& address);
  ~LoadExporter();
  void Update(const LiveView& view);
  int port() const;

 private:
  struct Parts;
  explicit LoadExporter(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

}  // namespace filo::client
