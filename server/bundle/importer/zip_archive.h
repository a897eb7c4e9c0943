// The entries of a ZIP file in memory (also ZIP64), checked before any is used: names are unique, local and
// central headers agree, and no two entries share a byte. Immutable; the memory must outlive it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace filo::bundle::importer {

class ZipArchive {
 public:
  struct Entry {
    std::span<const std::byte> data;  // as it lies in the file, maybe compressed
    std::uint64_t size = 0;           // unpacked
    std::uint32_t crc = 0;
    bool deflated = false;
  };

  // kInvalidArgument whose message continues a sentence that begins with the file's name: "is a ZIP file
  // ...".
  static absl::StatusOr<ZipArchive> Open(std::span<const std::byte> bytes);

  const std::map<std::string, Entry, std::less<>>& entries() const { return entries_; }
  // An entry stored without compression, in place; its checksum is verified.
  absl::StatusOr<std::span<const std::byte>> Stored(std::string_view name) const;
  // An entry of at most `limit` bytes, unpacked; its checksum is verified.
  absl::StatusOr<std::string> Read(std::string_view name, std::uint64_t limit) const;

 private:
  std::map<std::string, Entry, std::less<>> entries_;
};

}  // namespace filo::bundle::importer
