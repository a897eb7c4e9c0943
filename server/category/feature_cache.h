// A cache for what depends on a category's text alone: computed once however many ask at once, bounded by
// memory, least recently used out first, and kept on disk across restarts.
//
// Thread-safe. Values are immutable and shared: one that is evicted lives on while somebody holds it. A
// failed computation is not cached; those who waited get its error, except that a caller who gave up
// (kCancelled, kDeadlineExceeded) makes the next one in line compute.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace filo::category {

// What a value depends on. Equal keys, equal values.
struct FeatureKey {
  std::string bundle_digest;
  std::string profile;  // "paper", "released"; with the device's precision if that changes the value
  std::string definition_digest;  // DefinitionDigest: the same for every revision with the same texts, and
                                  // for inline ones
  std::string part;               // if a category has several values: "all", "position 3"

  std::string ToString() const;
};

struct FeatureCacheStats {
  std::uint64_t hits = 0;       // found in memory, or computed meanwhile by somebody else
  std::uint64_t disk_hits = 0;  // read from disk
  std::uint64_t misses = 0;     // had to be computed
  std::uint64_t evictions = 0;  // put out of memory for lack of room
  std::uint64_t disk_errors =
      0;                         // a file could not be read or written, or was damaged (and is computed anew)
  std::uint64_t bytes = 0;       // in memory now
  std::uint64_t entries = 0;     // in memory now
  std::uint64_t disk_bytes = 0;  // on disk now
  double compute_seconds = 0;    // spent computing, summed
};

struct FeatureCacheOptions {
  std::uint64_t max_bytes = 256u << 20;
  std::string directory = {};  // empty = nothing on disk; made if missing
  std::uint64_t max_disk_bytes = 4ull << 30;
};

namespace internal {

// The cache without the type of its values.
class FeatureCacheCore {
 public:
  using Value = std::shared_ptr<const void>;
  struct Codec {
    std::function<std::uint64_t(const void*)> bytes;
    std::function<std::string(const void*)> serialise;  // null = not kept on disk
    std::function<absl::StatusOr<Value>(std::string_view)> parse;
  };
  using Compute = std::function<absl::StatusOr<Value>()>;

  FeatureCacheCore(FeatureCacheOptions options, Codec codec);

  absl::StatusOr<Value> Get(const FeatureKey& key, const Compute& compute,
                            const std::function<absl::Status()>& keep_going);
  void Forget(const std::function<bool(const FeatureKey&)>& which);
  FeatureCacheStats Stats() const;

 private:
  struct Entry {
    FeatureKey key;
    Value value;
    std::uint64_t bytes = 0;
    std::list<std::string>::iterator recent;
  };
  // One computation that several may wait for.
  struct Flight {
    bool done = false;
    absl::StatusOr<Value> result = absl::UnknownError("not computed");
  };
  struct File {
    std::uint64_t bytes = 0;
    std::uint64_t last_use = 0;  // by use_clock_
  };

  absl::StatusOr<Value> Lead(const FeatureKey& key, const std::string& text, const Compute& compute);
  absl::StatusOr<Value> ReadFromDisk(const std::string& text);
  void WriteToDisk(const std::string& text, const Value& value);
  void RemoveFile(const std::string& name);
  void ListDirectory();
  void Insert(const FeatureKey& key, const std::string& text, const Value& value);
  std::string FileName(const std::string& text) const;

  const FeatureCacheOptions options_;
  const Codec codec_;
  mutable std::mutex mutex_;  // guards all that follows
  std::condition_variable landed_;
  std::unordered_map<std::string, Entry> entries_;
  std::list<std::string> recent_;  // most recently used first
  std::map<std::string, std::shared_ptr<Flight>> flights_;
  std::map<std::string, File> files_;
  std::uint64_t use_clock_ = 0;
  FeatureCacheStats stats_;
};

}  // namespace internal

template <class V>
class FeatureCache {
 public:
  // `bytes` measures a value. `serialise` and `parse` may be null: then nothing is kept on disk.
  FeatureCache(FeatureCacheOptions options, std::function<std::uint64_t(const V&)> bytes,
               std::function<std::string(const V&)> serialise = nullptr,
               std::function<absl::StatusOr<std::shared_ptr<const V>>(std::string_view)> parse = nullptr)
      : core_(std::move(options), MakeCodec(std::move(bytes), std::move(serialise), std::move(parse))) {}

  // The value of `key`, from memory, from disk, or from `compute`, which runs in the calling thread at most
  // once at a time for a key. While another thread computes, `keep_going` (may be null) is asked every 20 ms
  // and its error returned.
  absl::StatusOr<std::shared_ptr<const V>> Get(
      const FeatureKey& key, const std::function<absl::StatusOr<std::shared_ptr<const V>>()>& compute,
      const std::function<absl::Status()>& keep_going = nullptr) {
    auto value = core_.Get(
        key,
        [&]() -> absl::StatusOr<internal::FeatureCacheCore::Value> {
          auto computed = compute();
          if (!computed.ok()) return computed.status();
          return internal::FeatureCacheCore::Value(*std::move(computed));
        },
        keep_going);
    if (!value.ok()) return value.status();
    return std::static_pointer_cast<const V>(*std::move(value));
  }

  // Drops matching values from memory (not from disk), e.g. those of a bundle that is gone.
  void Forget(const std::function<bool(const FeatureKey&)>& which) { core_.Forget(which); }
  FeatureCacheStats Stats() const { return core_.Stats(); }

 private:
  static internal::FeatureCacheCore::Codec MakeCodec(
      std::function<std::uint64_t(const V&)> bytes, std::function<std::string(const V&)> serialise,
      std::function<absl::StatusOr<std::shared_ptr<const V>>(std::string_view)> parse) {
    internal::FeatureCacheCore::Codec codec;
    codec.bytes = [bytes = std::move(bytes)](const void* v) { return bytes(*static_cast<const V*>(v)); };
    if (serialise == nullptr || parse == nullptr) return codec;
    codec.serialise = [serialise = std::move(serialise)](const void* v) {
      return serialise(*static_cast<const V*>(v));
    };
    codec.parse = [parse = std::move(parse)](
                      std::string_view text) -> absl::StatusOr<internal::FeatureCacheCore::Value> {
      auto parsed = parse(text);
      if (!parsed.ok()) return parsed.status();
      return internal::FeatureCacheCore::Value(*std::move(parsed));
    };
    return codec;
  }

  internal::FeatureCacheCore core_;
};

}  // namespace filo::category
