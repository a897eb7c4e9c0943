#include "server/bundle/importer/tensor_source.h"

namespace filo::bundle::importer {

absl::StatusOr<TensorSource> OpenTorch(std::shared_ptr<const MappedFile>) {
  return absl::InvalidArgumentError("is a PyTorch file; convert it to safetensors first");
}

}  // namespace filo::bundle::importer
