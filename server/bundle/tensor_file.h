// A safetensors file, memory-mapped read-only, checked before anything of it is used.
//
// Format: https://huggingface.co/docs/safetensors (8-byte little-endian header length, JSON header, tensor
// bytes). Immutable after Open and thread-safe; views stay valid as long as the TensorFile lives. Pages are
// shared between processes that map the same file.
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

namespace filo::bundle {

enum class DType { kBool, kU8, kI8, kI16, kI32, kI64, kF16, kBF16, kF32, kF64 };

// "F32", "BF16", ...: the names of the format.
std::string_view DTypeName(DType dtype);
std::size_t DTypeBytes(DType dtype);

// A tensor somewhere in memory that somebody else owns: contiguous, row-major, little-endian.
struct TensorView {
  DType dtype = DType::kF32;
  std::vector<std::int64_t> shape;
  std::span<const std::byte> bytes;

  std::int64_t elements() const;
};

using TensorMap = std::map<std::string, TensorView, std::less<>>;

class TensorFile {
 public:
  // Errors name the file, the tensor and what is wrong: header too long or no JSON, unknown dtype, byte range
  // that does not fit the shape, overlapping or uncovered ranges, trailing bytes (kInvalidArgument);
  // kNotFound.
  static absl::StatusOr<std::shared_ptr<const TensorFile>> Open(const std::string& path);

  ~TensorFile();
  TensorFile(const TensorFile&) = delete;
  TensorFile& operator=(const TensorFile&) = delete;

  const std::string& path() const { return path_; }
  const TensorMap& tensors() const { return tensors_; }
  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  std::span<const std::byte> bytes() const { return {data_, size_}; }  // the whole file, e.g. for its digest

 private:
  TensorFile() = default;

  std::string path_;
  const std::byte* data_ = nullptr;
  std::size_t size_ = 0;
  TensorMap tensors_;
  std::map<std::string, std::string> metadata_;
};

// Writes `tensors` in the order of their names; the result depends on the contents alone (byte for byte
// repeatable). Written beside `path` first and renamed, so that a crash leaves the old file or the new one.
absl::Status WriteTensorFile(const std::string& path, const TensorMap& tensors,
                             const std::map<std::string, std::string>& metadata);

}  // namespace filo::bundle
