#include "server/bundle/importer/tensor_source.h"

#include <cstring>

#include "fmt/format.h"
#include "server/base/status.h"

namespace filo::bundle::importer {
namespace {

bool BeginsWith(std::span<const std::byte> bytes, std::string_view magic) {
  return bytes.size() >= magic.size() && std::memcmp(bytes.data(), magic.data(), magic.size()) == 0;
}

absl::StatusOr<TensorSource> OpenSafetensors(const std::string& path) {
  FILO_ASSIGN_OR_RETURN(const std::shared_ptr<const TensorFile> file, TensorFile::Open(path));
  TensorSource source{path, "safetensors", {}, {file}};
  for (const auto& [name, view] : file->tensors()) {
    source.tensors.emplace(name, Contiguous(view.dtype, view.shape, view.bytes));
  }
  return source;
}

// Copies along the axes from `axis` on; returns where the next element goes.
std::byte* GatherAxis(const SourceTensor& tensor, std::size_t axis, const std::byte* from, std::byte* to) {
  const std::size_t size = DTypeBytes(tensor.dtype);
  if (axis == tensor.shape.size()) {
    std::memcpy(to, from, size);
    return to + size;
  }
  const std::int64_t step = tensor.strides[axis] * static_cast<std::int64_t>(size);
  if (axis + 1 == tensor.shape.size() && tensor.strides[axis] == 1) {
    const std::size_t bytes = static_cast<std::size_t>(tensor.shape[axis]) * size;
    std::memcpy(to, from, bytes);
    return to + bytes;
  }
  for (std::int64_t i = 0; i < tensor.shape[axis]; ++i)
    to = GatherAxis(tensor, axis + 1, from + i * step, to);
  return to;
}

}  // namespace

std::int64_t SourceTensor::elements() const {
  std::int64_t count = 1;
  for (const std::int64_t size : shape) count *= size;
  return count;
}

std::vector<std::int64_t> RowMajor(const std::vector<std::int64_t>& shape) {
  std::vector<std::int64_t> strides(shape.size());
  std::int64_t step = 1;
  for (std::size_t axis = shape.size(); axis-- > 0;) {
    strides[axis] = step;
    step *= shape[axis];
  }
  return strides;
}

SourceTensor Contiguous(DType dtype, std::vector<std::int64_t> shape, std::span<const std::byte> bytes) {
  std::vector<std::int64_t> strides = RowMajor(shape);
  return {dtype, std::move(shape), std::move(strides), bytes};
}

absl::Status CheckInside(const SourceTensor& tensor) {
  const absl::Status outside = absl::InvalidArgumentError("reaches outside its storage");
  if (tensor.shape.size() != tensor.strides.size() || tensor.shape.size() > TensorFile::kMaxDimensions) {
    return absl::InvalidArgumentError("has a shape and strides that do not fit each other");
  }
  std::int64_t count = 1;
  std::int64_t last = 0;  // index of the element farthest from the start
  for (std::size_t axis = 0; axis < tensor.shape.size(); ++axis) {
    const std::int64_t size = tensor.shape[axis];
    if (size < 0 || tensor.strides[axis] < 0 || __builtin_mul_overflow(count, size, &count)) return outside;
    std::int64_t reach = 0;
    if (size > 0 && (__builtin_mul_overflow(size - 1, tensor.strides[axis], &reach) ||
                     __builtin_add_overflow(last, reach, &last))) {
      return outside;
    }
  }
  const auto capacity = static_cast<std::int64_t>(tensor.storage.size() / DTypeBytes(tensor.dtype));
  if (count > 0 && last >= capacity) return outside;
  // A tensor may repeat its storage by zero strides (expand); a file of weights has no reason to, and it
  // would let a small file ask for endless memory.
  if (count > capacity) return absl::InvalidArgumentError("has more elements than its storage");
  return absl::OkStatus();
}

SourceTensor Permuted(const SourceTensor& tensor, std::span<const std::size_t> axes) {
  SourceTensor result = tensor;
  for (std::size_t i = 0; i < axes.size(); ++i) {
    result.shape[i] = tensor.shape[axes[i]];
    result.strides[i] = tensor.strides[axes[i]];
  }
  return result;
}

SourceTensor Rows(const SourceTensor& tensor, std::int64_t begin, std::int64_t count) {
  SourceTensor result = tensor;
  result.shape[0] = count;
  const auto skip = static_cast<std::size_t>(begin * tensor.strides[0]) * DTypeBytes(tensor.dtype);
  result.storage = tensor.storage.subspan(std::min(skip, tensor.storage.size()));
  return result;
}

SourceTensor SplitAxis(const SourceTensor& tensor, std::size_t axis, std::span<const std::int64_t> sizes) {
  SourceTensor result = tensor;
  const auto at = static_cast<std::ptrdiff_t>(axis);
  std::int64_t step = tensor.strides[axis];
  std::vector<std::int64_t> strides(sizes.size());
  for (std::size_t i = sizes.size(); i-- > 0;) {
    strides[i] = step;
    step *= sizes[i];
  }
  result.shape.erase(result.shape.begin() + at);
  result.shape.insert(result.shape.begin() + at, sizes.begin(), sizes.end());
  result.strides.erase(result.strides.begin() + at);
  result.strides.insert(result.strides.begin() + at, strides.begin(), strides.end());
  return result;
}

std::vector<std::byte> Gather(const SourceTensor& tensor) {
  const auto count = static_cast<std::size_t>(tensor.elements());
  std::vector<std::byte> bytes(count * DTypeBytes(tensor.dtype));
  if (count == 0) return bytes;
  if (tensor.strides == RowMajor(tensor.shape)) {
    std::memcpy(bytes.data(), tensor.storage.data(), bytes.size());
  } else {
    GatherAxis(tensor, 0, tensor.storage.data(), bytes.data());
  }
  return bytes;
}

absl::StatusOr<TensorSource> OpenTensorSource(const std::string& path) {
  FILO_ASSIGN_OR_RETURN(std::shared_ptr<const MappedFile> file, MappedFile::Open(path));
  const std::span<const std::byte> bytes = file->bytes();
  absl::StatusOr<TensorSource> source;
  if (BeginsWith(bytes, "PK\x03\x04") || BeginsWith(bytes, "\x80\x02")) {
    source = OpenTorch(std::move(file));
  } else if (bytes.size() > 8 && bytes[8] == std::byte{'{'}) {
    return OpenSafetensors(path);
  } else if (BeginsWith(bytes, "\x08")) {  // ONNX: field 1 of ModelProto, ir_version
    source = OpenOnnx(std::move(file));
  } else if (BeginsWith(bytes, "version https://git-lfs")) {
    source =
        absl::InvalidArgumentError("is a Git LFS pointer, not the file itself: fetch it with git lfs pull");
  } else {
    source = absl::InvalidArgumentError("is neither safetensors, nor ONNX, nor a PyTorch file");
  }
  if (!source.ok())
    return absl::Status(source.status().code(),
                        fmt::format("{} {}", path, std::string(source.status().message())));
  return source;
}

}  // namespace filo::bundle::importer
