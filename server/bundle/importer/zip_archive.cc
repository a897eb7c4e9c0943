#include "server/bundle/importer/zip_archive.h"

#include <zlib.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <utility>
#include <vector>

#include "fmt/format.h"
#include "server/base/status.h"
#include "server/bundle/strict_json.h"

namespace filo::bundle::importer {
namespace {

constexpr std::uint32_t kEndMagic = 0x06054b50, kEnd64Magic = 0x06064b50, kLocator64Magic = 0x07064b50;
constexpr std::uint32_t kCentralMagic = 0x02014b50, kLocalMagic = 0x04034b50;
constexpr std::size_t kEndBytes = 22, kEnd64Bytes = 56, kLocator64Bytes = 20, kCentralBytes = 46,
                      kLocalBytes = 30;
constexpr std::size_t kLongestComment = 65535;
constexpr std::uint64_t kMostEntries = 200000;

absl::Status Bad(std::string_view what) {
  return absl::InvalidArgumentError(fmt::format("is a ZIP file {}", what));
}

// Little-endian field at `at`; the caller has checked that it is there.
template <typename T>
T Get(std::span<const std::byte> bytes, std::size_t at) {
  T value;
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}

// The part [offset, offset + size), if it lies inside.
std::optional<std::span<const std::byte>> Part(std::span<const std::byte> bytes, std::uint64_t offset,
                                               std::uint64_t size) {
  if (offset > bytes.size() || size > bytes.size() - offset) return std::nullopt;
  return bytes.subspan(offset, size);
}

struct Directory {
  std::span<const std::byte> bytes;
  std::uint64_t entries = 0;
};

absl::StatusOr<Directory> FindDirectory(std::span<const std::byte> bytes) {
  if (bytes.size() < kEndBytes) return Bad("that is cut off");
  const std::size_t first = bytes.size() - std::min(bytes.size(), kEndBytes + kLongestComment);
  std::size_t end = bytes.size() - kEndBytes;
  while (Get<std::uint32_t>(bytes, end) != kEndMagic) {
    if (end == first) return Bad("without a directory: it is cut off");
    --end;
  }
  std::uint64_t count = Get<std::uint16_t>(bytes, end + 10);
  std::uint64_t size = Get<std::uint32_t>(bytes, end + 12);
  std::uint64_t offset = Get<std::uint32_t>(bytes, end + 16);
  const bool has64 =
      end >= kLocator64Bytes && Get<std::uint32_t>(bytes, end - kLocator64Bytes) == kLocator64Magic;
  if (has64) {
    const auto record = Part(bytes, Get<std::uint64_t>(bytes, end - kLocator64Bytes + 8), kEnd64Bytes);
    if (!record || Get<std::uint32_t>(*record, 0) != kEnd64Magic) return Bad("with a damaged directory");
    count = Get<std::uint64_t>(*record, 32);
    size = Get<std::uint64_t>(*record, 40);
    offset = Get<std::uint64_t>(*record, 48);
  }
  const auto directory = Part(bytes, offset, size);
  if (!directory || count > kMostEntries) return Bad("with a damaged directory");
  return Directory{*directory, count};
}

// Sizes and offset of a central header, widened by its ZIP64 field where they are all ones.
struct Sizes {
  std::uint64_t unpacked = 0, packed = 0, offset = 0;
};
bool Widen(std::span<const std::byte> extra, Sizes& sizes) {
  constexpr std::uint64_t kAllOnes = 0xffffffffu;
  while (extra.size() >= 4) {
    const auto field = Part(extra, 4, Get<std::uint16_t>(extra, 2));
    if (!field) return false;
    if (Get<std::uint16_t>(extra, 0) == 1) {
      std::span<const std::byte> rest = *field;
      for (std::uint64_t* value : {&sizes.unpacked, &sizes.packed, &sizes.offset}) {
        if (*value != kAllOnes) continue;
        if (rest.size() < 8) return false;
        *value = Get<std::uint64_t>(rest, 0);
        rest = rest.subspan(8);
      }
    }
    extra = extra.subspan(4 + field->size());
  }
  return true;
}

std::string_view Text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

bool ChecksumHolds(std::span<const std::byte> bytes, std::uint32_t crc) {
  return crc32_z(0, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size()) == crc;
}

}  // namespace

absl::StatusOr<ZipArchive> ZipArchive::Open(std::span<const std::byte> bytes) {
  FILO_ASSIGN_OR_RETURN(const Directory directory, FindDirectory(bytes));
  ZipArchive archive;
  std::vector<std::pair<std::uint64_t, std::uint64_t>> ranges;  // of the file that belong to an entry
  std::span<const std::byte> rest = directory.bytes;
  for (std::uint64_t i = 0; i < directory.entries; ++i) {
    if (rest.size() < kCentralBytes || Get<std::uint32_t>(rest, 0) != kCentralMagic)
      return Bad("with a damaged directory");
    const std::uint16_t flags = Get<std::uint16_t>(rest, 8), method = Get<std::uint16_t>(rest, 10);
    const std::uint16_t name_bytes = Get<std::uint16_t>(rest, 28), extra_bytes = Get<std::uint16_t>(rest, 30);
    Sizes sizes{Get<std::uint32_t>(rest, 24), Get<std::uint32_t>(rest, 20), Get<std::uint32_t>(rest, 42)};
    const std::uint32_t crc = Get<std::uint32_t>(rest, 16);
    const std::size_t whole = kCentralBytes + name_bytes + extra_bytes + Get<std::uint16_t>(rest, 32);
    if (whole > rest.size() || !Widen(rest.subspan(kCentralBytes + name_bytes, extra_bytes), sizes)) {
      return Bad("with a damaged directory");
    }
    const std::string name(Text(rest.subspan(kCentralBytes, name_bytes)));
    rest = rest.subspan(whole);
    const auto refuse = [&](std::string_view why) {
      return Bad(fmt::format("whose entry {} {}", Shown(name), why));
    };
    if ((flags & 1u) != 0) return refuse("is encrypted");
    if (method != 0 && method != 8) return refuse(fmt::format("is compressed by method {}", method));
    const auto local = Part(bytes, sizes.offset, kLocalBytes);
    if (!local || Get<std::uint32_t>(*local, 0) != kLocalMagic || Get<std::uint16_t>(*local, 8) != method) {
      return refuse("has no matching header");
    }
    const std::uint64_t local_name = Get<std::uint16_t>(*local, 26);
    const std::uint64_t begin = sizes.offset + kLocalBytes + local_name + Get<std::uint16_t>(*local, 28);
    const auto written = Part(bytes, sizes.offset + kLocalBytes, local_name);
    const auto data = Part(bytes, begin, sizes.packed);
    if (!written || Text(*written) != name) return refuse("has another name in its own header");
    if (!data) return refuse("reaches beyond the end of the file");
    if (method == 0 && sizes.packed != sizes.unpacked) return refuse("has two different sizes");
    ranges.emplace_back(sizes.offset, begin + sizes.packed);
    if (!archive.entries_.emplace(name, Entry{*data, sizes.unpacked, crc, method == 8}).second) {
      return refuse("is there twice");
    }
  }
  std::sort(ranges.begin(), ranges.end());
  for (std::size_t i = 1; i < ranges.size(); ++i) {
    if (ranges[i].first < ranges[i - 1].second) return Bad("whose entries overlap");
  }
  return archive;
}

absl::StatusOr<std::span<const std::byte>> ZipArchive::Stored(std::string_view name) const {
  const auto entry = entries_.find(name);
  if (entry == entries_.end()) return Bad(fmt::format("without the entry {}", Shown(name)));
  if (entry->second.deflated) return Bad(fmt::format("whose entry {} is compressed", Shown(name)));
  if (!ChecksumHolds(entry->second.data, entry->second.crc)) {
    return Bad(fmt::format("whose entry {} is damaged: its checksum is wrong", Shown(name)));
  }
  return entry->second.data;
}

absl::StatusOr<std::string> ZipArchive::Read(std::string_view name, std::uint64_t limit) const {
  const auto found = entries_.find(name);
  if (found == entries_.end()) return Bad(fmt::format("without the entry {}", Shown(name)));
  const Entry& entry = found->second;
  if (entry.size > limit) {
    return Bad(
        fmt::format("whose entry {} has {} bytes; at most {} are read", Shown(name), entry.size, limit));
  }
  if (!entry.deflated) {
    FILO_ASSIGN_OR_RETURN(const auto stored, Stored(name));
    return std::string(Text(stored));
  }
  std::string out(entry.size, '\0');
  z_stream stream{};
  if (inflateInit2(&stream, -MAX_WBITS) != Z_OK)
    return absl::ResourceExhaustedError("cannot be unpacked: no memory");
  stream.next_in = const_cast<Bytef*>(reinterpret_cast<const Bytef*>(entry.data.data()));
  stream.avail_in = static_cast<uInt>(std::min<std::uint64_t>(entry.data.size(), 0xffffffffu));
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  const int result = inflate(&stream, Z_FINISH);
  const bool whole = result == Z_STREAM_END && stream.total_out == entry.size;
  inflateEnd(&stream);
  if (!whole || !ChecksumHolds(std::as_bytes(std::span(out)), entry.crc)) {
    return Bad(fmt::format("whose entry {} is damaged", Shown(name)));
  }
  return out;
}

}  // namespace filo::bundle::importer
