// A bounded cache that forgets what was used longest ago. Thread-safe; header only.
#pragma once

#include <cstddef>
#include <list>
#include <memory>
#include <string>
#include <unordered_map>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace filo::detection {

template <typename Value>
class LruCache {
 public:
  // Holds entries of together at most `capacity` bytes, as the caller counts them.
  explicit LruCache(std::size_t capacity) : capacity_(capacity) {}

  // The entry, which becomes the most recently used one; null if there is none.
  std::shared_ptr<const Value> Get(const std::string& key) {
    const absl::MutexLock lock(&mutex_);
    const auto found = by_key_.find(key);
    if (found == by_key_.end()) return nullptr;
    entries_.splice(entries_.begin(), entries_, found->second);
    return found->second->value;
  }

  // Adds or replaces an entry. One that is larger than the whole cache is not kept.
  void Put(const std::string& key, std::shared_ptr<const Value> value, std::size_t bytes) {
    const absl::MutexLock lock(&mutex_);
    if (const auto found = by_key_.find(key); found != by_key_.end()) Erase(found->second);
    if (bytes > capacity_) return;
    while (used_ + bytes > capacity_) Erase(std::prev(entries_.end()));
    entries_.push_front({key, std::move(value), bytes});
    by_key_[key] = entries_.begin();
    used_ += bytes;
  }

  std::size_t used() const {
    const absl::MutexLock lock(&mutex_);
    return used_;
  }

 private:
  struct Entry {
    std::string key;
    std::shared_ptr<const Value> value;
    std::size_t bytes;
  };
  using Entries = std::list<Entry>;

  void Erase(typename Entries::iterator entry) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    used_ -= entry->bytes;
    by_key_.erase(entry->key);
    entries_.erase(entry);
  }

  const std::size_t capacity_;
  mutable absl::Mutex mutex_;
  Entries entries_ ABSL_GUARDED_BY(mutex_);  // most recently used first
  std::unordered_map<std::string, typename Entries::iterator> by_key_ ABSL_GUARDED_BY(mutex_);
  std::size_t used_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace filo::detection
