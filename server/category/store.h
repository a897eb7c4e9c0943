// Where categories live: records, reference photographs, calibrations, feedback and the audit trail in one
// SQL database.
//
// Thread-safe. Every write is one transaction; OK means that it survives any crash. All writes are in one
// order: each has a sequence number, and ChangesSince gives exactly what was written after a known one.
// Reading is done from memory by the Catalogue, not from here.
//
// Errors beside those of the methods: kUnavailable (the database is away), kDataLoss (damaged contents),
// kResourceExhausted (disk full).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/category/record.h"
#include "server/category/sql.h"

namespace filo::category {

// A record with the number of the write that made it; nothing for a deleted one.
struct Versioned {
  std::string id;
  std::int64_t sequence = 0;
  std::optional<Record> record;
};

struct Changes {
  std::int64_t sequence = 0;       // of the last write; ask with it next time
  bool everything = false;         // `changes` is all there is: forget what is not in it
  std::vector<Versioned> changes;  // in the order of the writes, at most one per id
};

// A person's correction of a verdict.
struct Feedback {
  std::string result_id;
  std::string category_id;  // empty: an inline category
  bool defective = false;   // what the part really was
  std::string note;
  // What was known of the result: the next calibration uses it while bundle and definition are the same.
  double score = 0;
  double map_max = 0;
  double map_median = 0;
  std::string bundle_digest;
  std::string definition_digest;
  std::string settings_digest;
  absl::Time time;

  friend bool operator==(const Feedback&, const Feedback&) = default;
};

class Store {
 public:
  static constexpr std::size_t kMaxReferences = 1000;           // of one category
  static constexpr std::size_t kMaxReferenceBytes = 64u << 20;  // of one photograph

  // Brings the tables to this program's version. kFailedPrecondition: a newer program has been here.
  static absl::StatusOr<std::unique_ptr<Store>> Open(std::unique_ptr<SqlDatabase> database);

  // Stores a new category. kAlreadyExists; kInvalidArgument (validation.h).
  absl::StatusOr<Versioned> Create(const Record& contents);
  // kNotFound.
  absl::StatusOr<Versioned> Get(const std::string& id);
  // Applies `change` to the stored record and writes the result, all in one transaction. `change` may be
  // called more than once; its error is returned and nothing written. Id, revision, etag, times, references
  // and calibration are not `change`'s to change. kNotFound; kAborted when `etag` is given and is not the
  // stored one; kInvalidArgument.
  absl::StatusOr<Versioned> Update(const std::string& id, const std::string& etag,
                                   const std::function<absl::Status(Record&)>& change);
  // With everything that belongs to it. kNotFound, kAborted.
  absl::StatusOr<Versioned> Delete(const std::string& id, const std::string& etag);

  // `reference.id` must be new in the category. kNotFound; kAlreadyExists (same id or same photograph);
  // kResourceExhausted (too many); kInvalidArgument (too large or empty).
  absl::StatusOr<Versioned> AddReference(const std::string& id, const Reference& reference,
                                         std::string bytes);
  absl::StatusOr<std::string> ReadReference(const std::string& id, const std::string& reference_id);
  absl::StatusOr<Versioned> RemoveReference(const std::string& id, const std::string& reference_id);

  // Replaces the calibration. `baseline` (Serialise of a Baseline) is kept under calibration.baseline_id;
  // empty = none. kAborted when the category's texts are no longer those that gave the scores.
  absl::StatusOr<Versioned> SetCalibration(const std::string& id, const Calibration& calibration,
                                           std::string baseline);
  absl::StatusOr<std::string> ReadBaseline(const std::string& id, const std::string& baseline_id);

  absl::StatusOr<Changes> ChangesSince(std::int64_t sequence);

  // A later word on the same result replaces the earlier.
  absl::Status AddFeedback(const Feedback& feedback);
  // The latest `limit` of a category, oldest first.
  absl::StatusOr<std::vector<Feedback>> FeedbackOf(const std::string& id, int limit);

  // Remembers that these categories were used, for warming caches at the next start.
  absl::Status MarkUsed(const std::vector<std::string>& ids, absl::Time now);
  // Ids used since, the latest first.
  absl::StatusOr<std::vector<std::string>> UsedSince(absl::Time time, int limit);

  // Lines of the audit trail, all or none; one that is there already (same id) is skipped.
  struct AuditLine {
    std::string result_id;
    absl::Time time;
    std::string json;
  };
  absl::Status AppendAudit(const std::vector<AuditLine>& lines);
  absl::StatusOr<std::string> FindAudit(const std::string& result_id);  // kNotFound
  // Deletes lines older than `time`; says how many.
  absl::StatusOr<std::int64_t> DropAuditBefore(absl::Time time);

  SqlDatabase& database() { return *database_; }

 private:
  explicit Store(std::unique_ptr<SqlDatabase> database) : database_(std::move(database)) {}
  using Edit = std::function<absl::Status(SqlConnection&, Record&)>;
  absl::StatusOr<Versioned> Modify(const std::string& id, const std::string& etag, const Edit& edit);

  const std::unique_ptr<SqlDatabase> database_;
};

// Tables of store.cc, and the steps that bring older ones up to date. kFailedPrecondition for newer ones.
absl::Status Migrate(SqlDatabase& database);
inline constexpr int kSchemaVersion = 1;

}  // namespace filo::category
