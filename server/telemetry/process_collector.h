// The usual process_* metrics, read from /proc when scraped: CPU time, resident memory, open descriptors,
// threads, start time.
#pragma once

#include <vector>

#include "prometheus/collectable.h"
#include "prometheus/metric_family.h"

namespace filo::telemetry {

// Thread-safe; what cannot be read is left out.
class ProcessCollector : public prometheus::Collectable {
 public:
  std::vector<prometheus::MetricFamily> Collect() const override;
};

}  // namespace filo::telemetry
