// FiLo itself: the stages of the paper one after another (spec sections 2 to 9). Detector::Create gives one
// of these.
//
// Immutable after loading but for its caches; thread-safe.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "ATen/ATen.h"
#include "absl/status/statusor.h"
#include "server/detection/category_features.h"
#include "server/detection/detector.h"
#include "server/detection/localisation.h"
#include "server/detection/lru_cache.h"
#include "server/detection/networks.h"
#include "server/model/mmci.h"
#include "server/model/trace.h"

namespace filo::detection {

// For tests: look at every tensor, and force the order of Grounding DINO's queries (goldens README, "FULL").
struct Hooks {
  model::Trace* trace = nullptr;
  const std::vector<std::int64_t>* forced_topk = nullptr;
};

class Pipeline : public Detector {
 public:
  Pipeline(std::shared_ptr<const Networks> networks, const Options& options);

  absl::StatusOr<Result> Detect(const image::Image& image, const category::Category& category,
                                const std::function<absl::Status()>& keep_going) const override;
  absl::Status Prepare(const category::Category& category) const override;

  // Detect with a look inside. Trace: every tensor that tests/goldens/README.md names for the stages run.
  absl::StatusOr<Result> DetectTraced(const image::Image& image, const category::Category& category,
                                      const std::function<absl::Status()>& keep_going,
                                      const Hooks& hooks) const;

  const Networks& networks() const { return *networks_; }

 private:
  class Run;  // one detection under way

  absl::StatusOr<std::shared_ptr<const CategoryFeatures>> FeaturesOf(const category::Category& category,
                                                                     model::Trace* trace) const;
  std::shared_ptr<const model::ProjectedKernels> KernelsFor(const category::Category& category, int position,
                                                            const at::Tensor& rows) const;

  std::shared_ptr<const Networks> networks_;
  LocalisationOptions localisation_;
  mutable LruCache<CategoryFeatures> features_;
  mutable LruCache<model::ProjectedKernels>
      kernels_;  // by category and position: 70 times larger than the features
};

}  // namespace filo::detection
