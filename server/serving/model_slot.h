// The model that answers, and how another takes its place.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/bundle/manifest.h"
#include "server/detection/detector.h"

namespace filo::serving {

// A bundle, loaded and checked. Immutable and thread-safe; requests hold it while they run, so that the last
// request of a replaced model frees it.
struct LoadedModel {
  std::shared_ptr<const detection::Detector> detector;
  bundle::Manifest manifest;
  std::string directory;
  std::string digest;  // lower-case hex SHA-256
  std::string device;  // "cpu", "cuda:0"
  absl::Time load_time;
  absl::Duration load_duration;
};

// Opens, self-tests and warms the bundle in a directory. Slow; called by one thread at a time.
using ModelLoader =
    std::function<absl::StatusOr<std::shared_ptr<const LoadedModel>>(const std::string& directory)>;

// Thread-safe.
class ModelSlot {
 public:
  explicit ModelSlot(ModelLoader loader) : loader_(std::move(loader)) {}

  // Null before the first successful Load.
  std::shared_ptr<const LoadedModel> Current() const;

  // Loads `directory` beside the present model and lets it take over; on an error the present one stays.
  // Returns the model that was replaced (null at first). ABORTED when another load is under way.
  absl::StatusOr<std::shared_ptr<const LoadedModel>> Load(const std::string& directory);

 private:
  const ModelLoader loader_;
  std::mutex loading_;
  mutable std::mutex mutex_;
  std::shared_ptr<const LoadedModel> current_;
};

}  // namespace filo::serving
