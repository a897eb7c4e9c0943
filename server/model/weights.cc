#include "server/model/weights.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "fmt/format.h"
#include "fmt/ranges.h"

namespace filo::model {
namespace {

std::optional<at::ScalarType> FloatType(bundle::DType dtype) {
  switch (dtype) {
    case bundle::DType::kF16:
      return at::kHalf;
    case bundle::DType::kBF16:
      return at::kBFloat16;
    case bundle::DType::kF32:
      return at::kFloat;
    case bundle::DType::kF64:
      return at::kDouble;
    default:
      return std::nullopt;
  }
}

std::string ShapeText(at::IntArrayRef shape) {
  return fmt::format("[{}]", fmt::join(shape.begin(), shape.end(), ", "));
}

}  // namespace

WeightReader::WeightReader(const bundle::TensorMap& tensors, std::string source, at::Device device,
                           at::ScalarType dtype)
    : tensors_(tensors), source_(std::move(source)), device_(device), dtype_(dtype) {}

at::Tensor WeightReader::Take(const std::string& name, at::IntArrayRef shape) {
  at::Tensor tensor = TakeOptional(name, shape);
  if (tensor.defined()) return tensor;
  problems_.push_back(fmt::format("{} {} is missing", name, ShapeText(shape)));
  return at::zeros(shape, at::dtype(dtype_).device(device_));
}

at::Tensor WeightReader::TakeOptional(const std::string& name, at::IntArrayRef shape) {
  const auto found = tensors_.find(name);
  if (found == tensors_.end()) return {};
  taken_.insert(name);
  const bundle::TensorView& view = found->second;
  if (at::IntArrayRef(view.shape) != shape) {
    problems_.push_back(
        fmt::format("{} has shape {}; it must be {}", name, ShapeText(view.shape), ShapeText(shape)));
    return at::zeros(shape, at::dtype(dtype_).device(device_));
  }
  if (!FloatType(view.dtype)) {
    problems_.push_back(
        fmt::format("{} has type {}; it must be a floating-point type", name, bundle::DTypeName(view.dtype)));
    return at::zeros(shape, at::dtype(dtype_).device(device_));
  }
  return Convert(name, view);
}

void WeightReader::Ignore(const std::string& name) { taken_.insert(name); }

absl::Status WeightReader::Finish() const {
  std::vector<std::string> problems = problems_;
  for (const auto& [name, view] : tensors_) {
    if (!taken_.contains(name)) {
      problems.push_back(fmt::format("{} {} belongs to no part of this model", name, ShapeText(view.shape)));
    }
  }
  if (problems.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(fmt::format("{}: {} tensor{} do not fit the manifest: {}", source_,
                                                problems.size(), problems.size() == 1 ? "" : "s",
                                                fmt::join(problems, "; ")));
}

at::Tensor WeightReader::Convert(const std::string& name, const bundle::TensorView& view) {
  // The mapping is read-only; no network writes to its weights.
  void* data = const_cast<void*>(static_cast<const void*>(view.bytes.data()));
  const std::size_t alignment = bundle::DTypeBytes(view.dtype);
  at::Tensor mapped;
  if (reinterpret_cast<std::uintptr_t>(data) % alignment == 0) {
    mapped = at::from_blob(data, view.shape, at::dtype(*FloatType(view.dtype)));
  } else {
    // safetensors does not promise alignment; an unaligned tensor is copied once.
    at::Tensor bytes = at::from_blob(data, {static_cast<std::int64_t>(view.bytes.size())}, at::kByte).clone();
    mapped = bytes.view(*FloatType(view.dtype)).reshape(view.shape);
  }
  at::Tensor converted = mapped.to(device_, dtype_);
  // A NaN or infinity in the weights would surface as a wrong verdict much later: refuse it here, by name.
  if (converted.numel() > 0 && !at::isfinite(converted.sum(at::kDouble)).item<bool>() &&
      !at::isfinite(converted).all().item<bool>()) {
    problems_.push_back(fmt::format("{} holds values that are not finite", name));
  }
  return converted;
}

}  // namespace filo::model
