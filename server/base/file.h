// Reading and replacing files, with errors that name the path.
//
// Error codes: kNotFound (no such file), kPermissionDenied, kInvalidArgument (a directory or device where a
// file is needed, or larger than allowed), kResourceExhausted (disk full), kUnavailable (other trouble with
// the disk).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace filo {

// The status for errno after `action` ("open", "write") failed on `path`.
absl::Status FileError(std::string_view action, const std::string& path, int error_number);

// The whole file; refuses one of more than `max_bytes` before reading it.
absl::StatusOr<std::string> ReadFile(const std::string& path, std::uint64_t max_bytes);

// Replaces `path` by `contents`: after a crash it holds the old contents or the new, never a mixture.
absl::Status WriteFile(const std::string& path, std::string_view contents);

// A regular file mapped read-only; immutable and thread-safe. An empty file gives an empty span. The file
// must not be shortened while it is mapped (the process would be killed on access): replace it by renaming.
class MappedFile {
 public:
  static absl::StatusOr<std::shared_ptr<const MappedFile>> Open(const std::string& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  const std::string& path() const { return path_; }
  std::span<const std::byte> bytes() const { return {data_, size_}; }

 private:
  MappedFile() = default;

  std::string path_;
  const std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

// A new file that takes the place of `path` only when Commit succeeds; otherwise it leaves no trace. Not
// thread-safe.
class AtomicFile {
 public:
  static absl::StatusOr<std::unique_ptr<AtomicFile>> Create(const std::string& path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  absl::Status WriteAt(std::uint64_t offset, std::span<const std::byte> bytes);
  // Flushes to the disk and renames.
  absl::Status Commit();

 private:
  AtomicFile() = default;

  std::string path_;
  std::string temporary_;
  int descriptor_ = -1;
};

}  // namespace filo
