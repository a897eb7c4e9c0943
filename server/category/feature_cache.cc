#include "server/category/feature_cache.h"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <vector>

#include "fmt/format.h"
#include "server/base/file.h"
#include "server/base/sha256.h"
#include "server/base/status.h"

namespace filo::category {

std::string FeatureKey::ToString() const {
  return fmt::format("{}\n{}\n{}\n{}", bundle_digest, profile, definition_digest, part);
}

namespace internal {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kMagic = "FILOCACHE1\n";
constexpr std::string_view kSuffix = ".features";
constexpr std::chrono::milliseconds kAskEvery(20);

bool GaveUp(const absl::Status& status) {
  return status.code() == absl::StatusCode::kCancelled ||
         status.code() == absl::StatusCode::kDeadlineExceeded;
}

// magic, SHA-256 of the rest, key, zero byte, payload.
std::string Pack(const std::string& key, const std::string& payload) {
  std::string body = key;
  body.push_back('\0');
  body += payload;
  return fmt::format("{}{}\n{}", kMagic, Sha256Hex(body), body);
}

absl::StatusOr<std::string_view> Unpack(std::string_view file, std::string_view key) {
  const std::size_t body_at = kMagic.size() + 64 + 1;
  if (file.size() < body_at + key.size() + 1 || file.substr(0, kMagic.size()) != kMagic ||
      file[body_at - 1] != '\n') {
    return absl::DataLossError("is no cache file");
  }
  const std::string_view body = file.substr(body_at);
  if (file.substr(kMagic.size(), 64) != Sha256Hex(body)) return absl::DataLossError("is damaged");
  if (body.substr(0, key.size()) != key || body[key.size()] != '\0')
    return absl::DataLossError("holds another key");
  return body.substr(key.size() + 1);
}

}  // namespace

FeatureCacheCore::FeatureCacheCore(FeatureCacheOptions options, Codec codec)
    : options_(std::move(options)), codec_(std::move(codec)) {
  if (!options_.directory.empty() && codec_.serialise != nullptr) ListDirectory();
}

void FeatureCacheCore::ListDirectory() {
  std::error_code error;
  fs::create_directories(options_.directory, error);
  struct Found {
    fs::file_time_type time;
    std::string name;
    std::uint64_t bytes;
  };
  std::vector<Found> found;
  for (fs::directory_iterator it(options_.directory, error), end; !error && it != end; it.increment(error)) {
    std::error_code ignored;
    if (it->path().extension() != kSuffix || !it->is_regular_file(ignored)) continue;
    found.push_back({it->last_write_time(ignored), it->path().filename().string(), it->file_size(ignored)});
  }
  if (error) ++stats_.disk_errors;
  std::sort(found.begin(), found.end(), [](const Found& a, const Found& b) { return a.time < b.time; });
  for (const Found& file : found) {
    files_[file.name] = {file.bytes, ++use_clock_};
    stats_.disk_bytes += file.bytes;
  }
}

std::string FeatureCacheCore::FileName(const std::string& text) const {
  return Sha256Hex(text) + std::string(kSuffix);
}

absl::StatusOr<FeatureCacheCore::Value> FeatureCacheCore::Get(
    const FeatureKey& key, const Compute& compute, const std::function<absl::Status()>& keep_going) {
  const std::string text = key.ToString();
  std::unique_lock lock(mutex_);
  while (true) {
    if (const auto it = entries_.find(text); it != entries_.end()) {
      recent_.splice(recent_.begin(), recent_, it->second.recent);
      ++stats_.hits;
      return it->second.value;
    }
    const auto in_the_air = flights_.find(text);
    if (in_the_air == flights_.end()) {
      const auto flight = std::make_shared<Flight>();
      flights_.emplace(text, flight);
      lock.unlock();
      absl::StatusOr<Value> result = Lead(key, text, compute);
      lock.lock();
      flight->done = true;
      flight->result = result;
      flights_.erase(text);
      landed_.notify_all();
      return result;
    }
    const std::shared_ptr<Flight> flight = in_the_air->second;
    while (!flight->done) {
      landed_.wait_for(lock, kAskEvery);
      if (flight->done || keep_going == nullptr) continue;
      lock.unlock();
      const absl::Status status = keep_going();
      if (!status.ok()) return status;
      lock.lock();
    }
    if (flight->result.ok()) ++stats_.hits;
    // Who computed gave up for a reason of its own: look again, and compute ourselves if need be.
    if (flight->result.ok() || !GaveUp(flight->result.status())) return flight->result;
  }
}

absl::StatusOr<FeatureCacheCore::Value> FeatureCacheCore::Lead(const FeatureKey& key, const std::string& text,
                                                               const Compute& compute) {
  if (absl::StatusOr<Value> stored = ReadFromDisk(text); stored.ok()) {
    Insert(key, text, *stored);
    return stored;
  }
  const auto start = std::chrono::steady_clock::now();
  absl::StatusOr<Value> computed = compute();
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  {
    const std::lock_guard lock(mutex_);
    ++stats_.misses;
    stats_.compute_seconds += seconds.count();
  }
  if (!computed.ok()) return computed;
  if (*computed == nullptr) return absl::InternalError("the cache was given no value to keep");
  Insert(key, text, *computed);
  WriteToDisk(text, *computed);
  return computed;
}

void FeatureCacheCore::Insert(const FeatureKey& key, const std::string& text, const Value& value) {
  const std::uint64_t bytes = codec_.bytes(value.get()) + text.size() + sizeof(Entry);
  const std::lock_guard lock(mutex_);
  // A value larger than all the room is handed out but not kept.
  if (bytes > options_.max_bytes) {
    ++stats_.evictions;
    return;
  }
  while (stats_.bytes + bytes > options_.max_bytes && !recent_.empty()) {
    const auto oldest = entries_.find(recent_.back());
    stats_.bytes -= oldest->second.bytes;
    entries_.erase(oldest);
    recent_.pop_back();
    ++stats_.evictions;
  }
  recent_.push_front(text);
  const auto [it, added] = entries_.emplace(text, Entry{key, value, bytes, recent_.begin()});
  if (added) {
    stats_.bytes += bytes;
  } else {
    recent_.pop_front();
  }
  stats_.entries = entries_.size();
}

absl::StatusOr<FeatureCacheCore::Value> FeatureCacheCore::ReadFromDisk(const std::string& text) {
  if (codec_.parse == nullptr || options_.directory.empty())
    return absl::NotFoundError("nothing is kept on disk");
  const std::string name = FileName(text);
  {
    const std::lock_guard lock(mutex_);
    const auto it = files_.find(name);
    if (it == files_.end()) return absl::NotFoundError("not on disk");
    it->second.last_use = ++use_clock_;
  }
  const fs::path path = fs::path(options_.directory) / name;
  const auto read = [&]() -> absl::StatusOr<Value> {
    FILO_ASSIGN_OR_RETURN(const std::string file, ReadFile(path.string(), options_.max_disk_bytes));
    FILO_ASSIGN_OR_RETURN(const std::string_view payload, Unpack(file, text));
    return codec_.parse(payload);
  };
  absl::StatusOr<Value> value = read();
  const std::lock_guard lock(mutex_);
  if (value.ok() && *value != nullptr) {
    ++stats_.disk_hits;
    std::error_code ignored;
    fs::last_write_time(path, fs::file_time_type::clock::now(), ignored);  // for the order after a restart
    return value;
  }
  ++stats_.disk_errors;
  RemoveFile(name);
  return value.ok() ? absl::DataLossError("the cache file holds nothing") : value.status();
}

void FeatureCacheCore::WriteToDisk(const std::string& text, const Value& value) {
  if (codec_.serialise == nullptr || options_.directory.empty()) return;
  const std::string file = Pack(text, codec_.serialise(value.get()));
  if (file.size() > options_.max_disk_bytes) return;
  const std::string name = FileName(text);
  const absl::Status written = WriteFile((fs::path(options_.directory) / name).string(), file);
  const std::lock_guard lock(mutex_);
  if (!written.ok()) {
    ++stats_.disk_errors;
    return;
  }
  if (const auto old = files_.find(name); old != files_.end()) stats_.disk_bytes -= old->second.bytes;
  files_[name] = {file.size(), ++use_clock_};
  stats_.disk_bytes += file.size();
  while (stats_.disk_bytes > options_.max_disk_bytes) {
    const auto oldest = std::min_element(files_.begin(), files_.end(), [](const auto& a, const auto& b) {
      return a.second.last_use < b.second.last_use;
    });
    RemoveFile(std::string(oldest->first));
  }
}

// With mutex_ held.
void FeatureCacheCore::RemoveFile(const std::string& name) {
  const auto it = files_.find(name);
  if (it == files_.end()) return;
  std::error_code ignored;
  fs::remove(fs::path(options_.directory) / name, ignored);
  stats_.disk_bytes -= it->second.bytes;
  files_.erase(it);
}

void FeatureCacheCore::Forget(const std::function<bool(const FeatureKey&)>& which) {
  const std::lock_guard lock(mutex_);
  for (auto it = entries_.begin(); it != entries_.end();) {
    if (!which(it->second.key)) {
      ++it;
      continue;
    }
    stats_.bytes -= it->second.bytes;
    recent_.erase(it->second.recent);
    it = entries_.erase(it);
  }
  stats_.entries = entries_.size();
}

FeatureCacheStats FeatureCacheCore::Stats() const {
  const std::lock_guard lock(mutex_);
  FeatureCacheStats stats = stats_;
  stats.entries = entries_.size();
  return stats;
}

}  // namespace internal
}  // namespace filo::category
