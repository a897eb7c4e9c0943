// The categories in memory: every lookup is served from here, whatever the database does.
//
// A thread follows the store, so that what another replica writes is seen within a second; while the database
// is away the known categories go on being served and writes fail with kUnavailable. Thread-safe. A record
// once handed out never changes.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <shared_mutex>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/category/store.h"

namespace filo::category {

class Catalogue {
 public:
  using RecordPointer = std::shared_ptr<const Record>;

  struct Options {
    absl::Duration look_anyway = absl::Seconds(5);  // asks for changes so often even if nothing was announced
    absl::Duration retry = absl::Milliseconds(500);  // after the database was away
    absl::Duration note_use = absl::Minutes(10);     // how often the use of categories is written down
    // Called from the following thread after a category was made, changed (record) or deleted (null), by
    // whomever.
    std::function<void(const std::string& id, const RecordPointer& record)> on_change;
  };

  // Reads everything. kUnavailable: the database is away; try again.
  static absl::StatusOr<std::unique_ptr<Catalogue>> Start(std::shared_ptr<Store> store, Options options);
  ~Catalogue();
  Catalogue(const Catalogue&) = delete;
  Catalogue& operator=(const Catalogue&) = delete;

  // Null if there is none. Notes that the category is in use. Never waits for the database.
  RecordPointer Find(const std::string& id) const;

  struct Page {
    std::vector<RecordPointer> records;  // in the order of their ids
    std::string next_page_token;         // empty = this is the last
  };
  // kInvalidArgument for a token that is none. Sees one state per page; a category that is there all the time
  // is listed exactly once.
  absl::StatusOr<Page> List(std::size_t page_size, const std::string& page_token) const;

  // Through the store, and at once visible here. Errors as Store's.
  absl::StatusOr<RecordPointer> Create(const Record& contents);
  absl::StatusOr<RecordPointer> Update(const std::string& id, const std::string& etag,
                                       const std::function<absl::Status(Record&)>& change);
  absl::Status Delete(const std::string& id, const std::string& etag);
  absl::StatusOr<RecordPointer> AddReference(const std::string& id, const Reference& reference,
                                             std::string bytes);
  absl::StatusOr<RecordPointer> RemoveReference(const std::string& id, const std::string& reference_id);
  absl::StatusOr<RecordPointer> SetCalibration(const std::string& id, const Calibration& calibration,
                                               std::string baseline);

  // Categories in use lately that still exist, the latest first: for warming caches at start.
  std::vector<std::string> InUse(absl::Duration lately, int limit) const;

  Store& store() { return *store_; }
  std::size_t size() const;
  // OK while the store answers; else why not (for logs and metrics).
  absl::Status health() const;

 private:
  struct Known {
    std::int64_t sequence = 0;
    RecordPointer record;
  };

  Catalogue(std::shared_ptr<Store> store, Options options);
  absl::Status Follow();
  void FollowForEver();
  // Takes over one change unless a later one is known; says whether anything is new.
  bool Apply(Versioned change);
  absl::StatusOr<RecordPointer> Applied(absl::StatusOr<Versioned> written);
  void NoteUse();

  const std::shared_ptr<Store> store_;
  const Options options_;
  mutable std::shared_mutex mutex_;     // guards the next four
  std::map<std::string, Known> known_;  // deleted ones as well, without record
  std::size_t size_ = 0;
  std::int64_t sequence_ = 0;  // everything up to here has been applied
  absl::Status health_;
  mutable std::mutex use_mutex_;
  mutable std::set<std::string> used_;  // since the last NoteUse
  mutable std::mutex stop_mutex_;
  std::condition_variable stop_;
  bool stopped_ = false;
  std::thread follower_;
};

}  // namespace filo::category
