#include <sqlite3.h>

#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <mutex>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "fmt/format.h"
#include "server/base/status.h"
#include "server/category/sql.h"

namespace filo::category {

std::int64_t SqlInteger(const SqlValue& value) {
  const auto* number = std::get_if<std::int64_t>(&value);
  return number == nullptr ? 0 : *number;
}

std::string SqlText(const SqlValue& value) {
  const auto* text = std::get_if<std::string>(&value);
  return text == nullptr ? std::string() : *text;
}

std::string SqlBytes(const SqlValue& value) {
  const auto* blob = std::get_if<SqlBlob>(&value);
  return blob == nullptr ? std::string() : blob->bytes;
}

namespace {

constexpr std::chrono::milliseconds kLookEvery(200);  // for writes of other processes

absl::Status SqliteError(int code, sqlite3* database, std::string_view action) {
  const std::string message =
      fmt::format("SQLite could not {}: {}", action,
                  database == nullptr ? sqlite3_errstr(code) : sqlite3_errmsg(database));
  switch (code & 0xFF) {
    case SQLITE_CONSTRAINT:
      return absl::AlreadyExistsError(message);
    case SQLITE_FULL:
      return absl::ResourceExhaustedError(message);
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return absl::DataLossError(message);
    case SQLITE_PERM:
    case SQLITE_READONLY:
    case SQLITE_AUTH:
      return absl::PermissionDeniedError(message);
    case SQLITE_ERROR:
    case SQLITE_MISUSE:
    case SQLITE_RANGE:
      return absl::InternalError(message);
    default:
      return absl::UnavailableError(message);  // BUSY, LOCKED, IOERR, NOMEM, CANTOPEN, …
  }
}

class SqliteConnection : public SqlConnection {
 public:
  explicit SqliteConnection(sqlite3* database) : database_(database) {}

  absl::StatusOr<std::vector<SqlRow>> Run(std::string_view sql,
                                          std::span<const SqlValue> parameters) override {
    sqlite3_stmt* raw = nullptr;
    const int prepared =
        sqlite3_prepare_v2(database_, sql.data(), static_cast<int>(sql.size()), &raw, /*pzTail=*/nullptr);
    const std::unique_ptr<sqlite3_stmt, int (*)(sqlite3_stmt*)> statement(raw, &sqlite3_finalize);
    if (prepared != SQLITE_OK) return SqliteError(prepared, database_, "prepare a statement");
    for (std::size_t i = 0; i < parameters.size(); ++i) {
      const int code = Bind(raw, fmt::format("${}", i + 1), parameters[i]);
      if (code != SQLITE_OK) return SqliteError(code, database_, "bind a parameter");
    }
    std::vector<SqlRow> rows;
    int code = SQLITE_ROW;
    while ((code = sqlite3_step(raw)) == SQLITE_ROW) {
      SqlRow& row = rows.emplace_back();
      for (int column = 0; column < sqlite3_column_count(raw); ++column) row.push_back(Column(raw, column));
    }
    if (code != SQLITE_DONE) return SqliteError(code, database_, "run a statement");
    return rows;
  }

 private:
  static int Bind(sqlite3_stmt* statement, const std::string& name, const SqlValue& value) {
    const int index = sqlite3_bind_parameter_index(statement, name.c_str());
    if (index == 0) return SQLITE_OK;  // the statement does not use it
    if (const auto* number = std::get_if<std::int64_t>(&value))
      return sqlite3_bind_int64(statement, index, *number);
    // The values outlive the statement, so that SQLite need not copy them (SQLITE_STATIC).
    if (const auto* text = std::get_if<std::string>(&value)) {
      return sqlite3_bind_text64(statement, index, text->data(), text->size(), nullptr, SQLITE_UTF8);
    }
    if (const auto* blob = std::get_if<SqlBlob>(&value)) {
      return sqlite3_bind_blob64(statement, index, blob->bytes.data(), blob->bytes.size(), nullptr);
    }
    return sqlite3_bind_null(statement, index);
  }

  static SqlValue Column(sqlite3_stmt* statement, int column) {
    const auto bytes = [&] { return static_cast<std::size_t>(sqlite3_column_bytes(statement, column)); };
    switch (sqlite3_column_type(statement, column)) {
      case SQLITE_INTEGER:
        return sqlite3_column_int64(statement, column);
      case SQLITE_TEXT: {
        const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(statement, column));
        return std::string(text, bytes());
      }
      case SQLITE_BLOB: {
        const auto* data = static_cast<const char*>(sqlite3_column_blob(statement, column));
        return SqlBlob{data == nullptr ? std::string() : std::string(data, bytes())};
      }
      default:
        return std::monostate();
    }
  }

  sqlite3* database_;
};

class Sqlite : public SqlDatabase {
 public:
  explicit Sqlite(sqlite3* database) : database_(database), connection_(database) {}
  ~Sqlite() override { sqlite3_close_v2(database_); }

  std::string_view kind() const override { return "sqlite"; }
  std::string_view blob_type() const override { return "BLOB"; }

  absl::Status Configure(absl::Duration busy_timeout) {
    sqlite3_extended_result_codes(database_, 1);
    sqlite3_busy_timeout(database_, static_cast<int>(absl::ToInt64Milliseconds(busy_timeout)));
    const std::lock_guard lock(mutex_);
    FILO_RETURN_IF_ERROR(EnterWal(busy_timeout));
    for (const char* pragma : {"PRAGMA synchronous=FULL", "PRAGMA foreign_keys=ON"}) {
      FILO_RETURN_IF_ERROR(connection_.Run(pragma, std::span<const SqlValue>()).status());
    }
    return absl::OkStatus();
  }

  absl::Status Write(const Body& body) override { return Transact("BEGIN IMMEDIATE", body); }
  absl::Status Read(const Body& body) override { return Transact("BEGIN", body); }

  absl::Status Announce(SqlConnection&) override {
    announced_ = true;  // with mutex_ held, as inside Write
    return absl::OkStatus();
  }

  absl::Status WaitForChange(absl::Duration timeout) override {
    const auto until = std::chrono::steady_clock::now() + absl::ToChronoNanoseconds(timeout);
    std::unique_lock lock(mutex_);
    while (!stopped_) {
      if (own_change_) {
        own_change_ = false;
        return absl::OkStatus();
      }
      // Changes only when another connection has committed.
      const auto rows = connection_.Run("PRAGMA data_version", std::span<const SqlValue>());
      if (!rows.ok()) return rows.status();
      const std::int64_t version = rows->empty() || (*rows)[0].empty() ? 0 : SqlInteger((*rows)[0][0]);
      if (version != data_version_) {
        data_version_ = version;
        return absl::OkStatus();
      }
      const auto now = std::chrono::steady_clock::now();
      if (now >= until) break;
      wake_.wait_until(lock, std::min(until, now + kLookEvery));
    }
    return absl::OkStatus();
  }

  void StopWaiting() override {
    const std::lock_guard lock(mutex_);
    stopped_ = true;
    wake_.notify_all();
  }

 private:
  // SQLite answers "busy" at once when two connections switch a new file to WAL together, without asking the
  // busy handler: servers that start together would fail.
  absl::Status EnterWal(absl::Duration busy_timeout) {
    const absl::Time deadline = absl::Now() + busy_timeout;
    while (true) {
      const absl::Status status =
          connection_.Run("PRAGMA journal_mode=WAL", std::span<const SqlValue>()).status();
      if (!absl::IsUnavailable(status) || absl::Now() >= deadline) return status;
      absl::SleepFor(absl::Milliseconds(5));
    }
  }

  absl::Status Transact(const char* begin, const Body& body) {
    const std::lock_guard lock(mutex_);
    announced_ = false;
    const auto run = [&](const char* sql) {
      return connection_.Run(sql, std::span<const SqlValue>()).status();
    };
    FILO_RETURN_IF_ERROR(run(begin));
    absl::Status status = body(connection_);
    if (status.ok()) status = run("COMMIT");
    if (!status.ok()) {
      // SQLite may have rolled back by itself (disk full); then this does nothing.
      if (sqlite3_get_autocommit(database_) == 0) (void)run("ROLLBACK");
      return status;
    }
    if (announced_) {
      own_change_ = true;
      wake_.notify_all();
    }
    return absl::OkStatus();
  }

  sqlite3* const database_;
  std::mutex mutex_;  // guards the connection and all that follows
  SqliteConnection connection_;
  std::condition_variable wake_;
  bool announced_ = false;
  bool own_change_ = false;
  bool stopped_ = false;
  std::int64_t data_version_ = 0;
};

}  // namespace

absl::StatusOr<std::unique_ptr<SqlDatabase>> OpenSqlite(const SqliteOptions& options) {
  std::error_code error;
  const std::filesystem::path parent = std::filesystem::path(options.path).parent_path();
  if (!parent.empty() && !std::filesystem::is_directory(parent, error)) {
    return absl::NotFoundError(fmt::format("the database's directory {} does not exist", parent.string()));
  }
  sqlite3* raw = nullptr;
  const int code = sqlite3_open_v2(options.path.c_str(), &raw,
                                   SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, nullptr);
  if (code != SQLITE_OK) {
    const absl::Status status = SqliteError(code, raw, fmt::format("open {}", options.path));
    sqlite3_close_v2(raw);
    return status;
  }
  auto database = std::make_unique<Sqlite>(raw);
  if (const absl::Status status = database->Configure(options.busy_timeout); !status.ok()) {
    return Annotate(status, options.path);
  }
  return database;
}

}  // namespace filo::category
