#include "server/serving/model_slot.h"

#include <utility>

namespace filo::serving {

std::shared_ptr<const LoadedModel> ModelSlot::Current() const {
  const std::lock_guard lock(mutex_);
  return current_;
}

absl::StatusOr<std::shared_ptr<const LoadedModel>> ModelSlot::Load(const std::string& directory) {
  const std::unique_lock loading(loading_, std::try_to_lock);
  if (!loading.owns_lock())
    return absl::AbortedError("another bundle is being loaded; try again when it is done");
  auto loaded = loader_(directory);
  if (!loaded.ok()) return std::move(loaded).status();
  const std::lock_guard lock(mutex_);
  return std::exchange(current_, *std::move(loaded));
}

}  // namespace filo::serving
