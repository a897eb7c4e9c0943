// As much SQL database as the category store needs, the same for SQLite and PostgreSQL. Statements number
// their parameters $1, $2, … in both.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace filo::category {

struct SqlBlob {
  std::string bytes;
};

// NULL, integer, text (UTF-8), bytes.
using SqlValue = std::variant<std::monostate, std::int64_t, std::string, SqlBlob>;
using SqlRow = std::vector<SqlValue>;

// What a column holds; the zero value where it holds something else.
std::int64_t SqlInteger(const SqlValue& value);
std::string SqlText(const SqlValue& value);
std::string SqlBytes(const SqlValue& value);

// One connection inside a transaction. Not thread-safe; valid only during the call that hands it out.
class SqlConnection {
 public:
  virtual ~SqlConnection() = default;
  // Errors: kUnavailable (away, busy, timed out), kAlreadyExists (a unique key), kResourceExhausted (disk
  // full), kDataLoss (damaged file), kAborted (lost against another writer), kInternal (a wrong statement).
  virtual absl::StatusOr<std::vector<SqlRow>> Run(std::string_view sql,
                                                  std::span<const SqlValue> parameters) = 0;

  absl::StatusOr<std::vector<SqlRow>> Run(std::string_view sql, std::initializer_list<SqlValue> parameters) {
    return Run(sql, std::span<const SqlValue>(parameters.begin(), parameters.size()));
  }
  absl::StatusOr<std::vector<SqlRow>> Run(std::string_view sql) {
    return Run(sql, std::span<const SqlValue>());
  }
};

// Thread-safe.
class SqlDatabase {
 public:
  using Body = std::function<absl::Status(SqlConnection&)>;

  virtual ~SqlDatabase() = default;

  virtual std::string_view kind() const = 0;       // "sqlite", "postgresql"
  virtual std::string_view blob_type() const = 0;  // column type of bytes

  // Runs `body` in a transaction that commits when it returns OK and is rolled back otherwise. `body` may be
  // run again when the connection turns out to be dead or another writer won, so it must have no effect but
  // through the connection. OK means: on disk, and there after any crash. kUnavailable when the end is not
  // known (the connection broke while committing): the write may have happened.
  virtual absl::Status Write(const Body& body) = 0;
  // The same for reading only; sees one consistent state.
  virtual absl::Status Read(const Body& body) = 0;
  // To be called inside Write: others that wait in WaitForChange wake when the transaction commits.
  virtual absl::Status Announce(SqlConnection& connection) = 0;

  // Returns OK when a commit of another connection or process may have changed something, and also when the
  // timeout has passed; kUnavailable when the database is away (the caller waits before it asks again). One
  // caller at a time.
  virtual absl::Status WaitForChange(absl::Duration timeout) = 0;
  // Makes WaitForChange return at once, now and for ever.
  virtual void StopWaiting() = 0;
};

struct SqliteOptions {
  std::string path;                                // made if missing; its directory must exist
  absl::Duration busy_timeout = absl::Seconds(5);  // another process is writing
};
// One file in write-ahead mode, fully synchronous: an acknowledged write survives kill -9 and power loss.
// Errors: kNotFound (directory), kPermissionDenied, kDataLoss (no SQLite file).
absl::StatusOr<std::unique_ptr<SqlDatabase>> OpenSqlite(const SqliteOptions& options);

struct PostgresOptions {
  std::string
      connection;  // a libpq connection string or URI; a password belongs in its passfile or in PGPASSWORD
  absl::Duration timeout = absl::Seconds(5);  // for connecting, and for each statement
};
// Connects on first use: that the server is away now is no error here. kInvalidArgument: libpq cannot read
// the string (which is not shown, as it may hold a password).
absl::StatusOr<std::unique_ptr<SqlDatabase>> OpenPostgres(const PostgresOptions& options);

}  // namespace filo::category
