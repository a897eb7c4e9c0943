// Serves GET /metrics for Prometheus, on threads of its own, so that a scrape works while the server is
// saturated.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "prometheus/collectable.h"

namespace prometheus {
class Exposer;
}

namespace filo::telemetry {

class MetricsEndpoint {
 public:
  // `address`: "127.0.0.1:9464", "[::1]:9464"; port 0 picks a free one. Errors: kInvalidArgument, with the
  // field "metrics", when nothing can be bound there.
  static absl::StatusOr<std::unique_ptr<MetricsEndpoint>> Start(const std::string& address);
  ~MetricsEndpoint();

  // Adds a source; it must outlive the endpoint's use of it only through the weak pointer.
  void Add(const std::weak_ptr<prometheus::Collectable>& source);
  int port() const;

 private:
  explicit MetricsEndpoint(std::unique_ptr<prometheus::Exposer> exposer);
  std::unique_ptr<prometheus::Exposer> exposer_;
};

}  // namespace filo::telemetry
