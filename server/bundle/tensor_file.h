// A safetensors file, memory-mapped read-only, checked before anything of it is used.
//
// Format: https://huggingface.co/docs/safetensors (8-byte little-endian header length, JSON header, tensor
// bytes). TensorFile is immutable after Open and thread-safe; views stay valid as long as the TensorFile
// lives. Pages are shared between processes that map the same file. The file must not be changed in place
// while it is mapped: replace it by renaming, as the writers below do.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/base/file.h"

namespace filo::bundle {

enum class DType { kBool, kU8, kI8, kI16, kI32, kI64, kF16, kBF16, kF32, kF64 };

// "F32", "BF16", ...: the names of the format.
std::string_view DTypeName(DType dtype);
std::optional<DType> DTypeFromName(std::string_view name);
std::size_t DTypeBytes(DType dtype);

// "[768, 1024]"; "[]" is a scalar.
std::string ShapeText(std::span<const std::int64_t> shape);

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
  // A header longer than this is refused before it is parsed: the largest published models need a fiftieth of
  // it.
  static constexpr std::uint64_t kMaxHeaderBytes = 16u << 20;
  static constexpr std::size_t kMaxDimensions = 16;

  // Errors name the file, the tensor and what is wrong: header too long or no JSON, a name given twice,
  // unknown dtype, byte range that does not fit the shape, overlapping or uncovered ranges, trailing bytes
  // (kInvalidArgument); kNotFound.
  static absl::StatusOr<std::shared_ptr<const TensorFile>> Open(const std::string& path);

  TensorFile(const TensorFile&) = delete;
  TensorFile& operator=(const TensorFile&) = delete;

  const std::string& path() const { return file_->path(); }
  const TensorMap& tensors() const { return tensors_; }
  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  std::span<const std::byte> bytes() const { return file_->bytes(); }  // the whole file, e.g. for its digest

 private:
  TensorFile() = default;
  absl::Status Parse();

  std::shared_ptr<const MappedFile> file_;
  TensorMap tensors_;
  std::map<std::string, std::string> metadata_;
};

// Writes a safetensors file tensor by tensor, in any order, so that a model larger than memory can be
// written. The result depends on the contents alone, byte for byte: tensors lie ordered by element size
// (largest first, so that every one is aligned to its element size) and then by name. Written beside `path`
// and renamed by Finish, so that a crash leaves the old file or the new one, never half a one. Not
// thread-safe.
class TensorFileWriter {
 public:
  struct Spec {
    DType dtype = DType::kF32;
    std::vector<std::int64_t> shape;
  };
  using Specs = std::map<std::string, Spec, std::less<>>;

  static absl::StatusOr<std::unique_ptr<TensorFileWriter>> Create(
      const std::string& path, const Specs& tensors, const std::map<std::string, std::string>& metadata);
  TensorFileWriter(const TensorFileWriter&) = delete;
  TensorFileWriter& operator=(const TensorFileWriter&) = delete;

  // kInvalidArgument: unknown name, written before, or not as many bytes as the shape needs.
  absl::Status Write(std::string_view name, std::span<const std::byte> bytes);
  // kFailedPrecondition naming a tensor that was never written.
  absl::Status Finish();

 private:
  struct Slot {
    std::uint64_t offset = 0;  // from the start of the file
    std::uint64_t bytes = 0;
  };
  TensorFileWriter() = default;

  std::string path_;
  std::unique_ptr<AtomicFile> file_;
  std::map<std::string, Slot, std::less<>> slots_;
  std::set<std::string, std::less<>> written_;
};

// The same for tensors that are all in memory.
absl::Status WriteTensorFile(const std::string& path, const TensorMap& tensors,
                             const std::map<std::string, std::string>& metadata);

}  // namespace filo::bundle
