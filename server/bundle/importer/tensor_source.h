// The tensors of a published weight file, whatever its container: safetensors, ONNX, PyTorch's archives.
// Nothing of the file is executed and nothing is copied: tensors are strided views of the mapped file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/base/file.h"
#include "server/bundle/tensor_file.h"

namespace filo::bundle::importer {

// A view of memory that the source keeps alive. Element [i, j, ...] lies at storage[(i * strides[0] + ...) *
// size]; whoever makes one has checked that every index stays inside `storage`. Strides are not negative.
struct SourceTensor {
  DType dtype = DType::kF32;
  std::vector<std::int64_t> shape;
  std::vector<std::int64_t> strides;  // in elements
  std::span<const std::byte> storage;

  std::int64_t elements() const;
};

// Row-major strides of a shape.
std::vector<std::int64_t> RowMajor(const std::vector<std::int64_t>& shape);
SourceTensor Contiguous(DType dtype, std::vector<std::int64_t> shape, std::span<const std::byte> bytes);
// kInvalidArgument ("reaches outside its storage") unless every element of the view lies inside it.
absl::Status CheckInside(const SourceTensor& tensor);

// The same elements with the axes in another order.
SourceTensor Permuted(const SourceTensor& tensor, std::span<const std::size_t> axes);
// Rows [begin, begin + count) of the first axis; the caller has checked that they exist.
SourceTensor Rows(const SourceTensor& tensor, std::int64_t begin, std::int64_t count);
// Splits axis `axis` into sizes whose product equals its size: always possible without moving anything.
SourceTensor SplitAxis(const SourceTensor& tensor, std::size_t axis, std::span<const std::int64_t> sizes);

// Row-major copy of the elements.
std::vector<std::byte> Gather(const SourceTensor& tensor);

struct TensorSource {
  std::string path;
  std::string container;  // "safetensors", "ONNX", "PyTorch archive", ... for people
  std::map<std::string, SourceTensor, std::less<>> tensors;
  std::vector<std::shared_ptr<const void>> keep;  // what the views point into
};

// Recognises the container by its first bytes. Errors name the file: kNotFound, kInvalidArgument (damaged,
// hostile, or of no known kind).
absl::StatusOr<TensorSource> OpenTensorSource(const std::string& path);

// One for each container; `file` is mapped already.
absl::StatusOr<TensorSource> OpenOnnx(std::shared_ptr<const MappedFile> file);
absl::StatusOr<TensorSource> OpenTorch(std::shared_ptr<const MappedFile> file);

}  // namespace filo::bundle::importer
