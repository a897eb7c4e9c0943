#include "fmt/format.h"
#include "server/base/status.h"
#include "server/category/store.h"

namespace filo::category {
namespace {

// Steps from each version to the next. Never edit one that was released: add another. "{blob}" is the column
// type of bytes. Statements run one by one, all in one transaction.
const std::vector<std::vector<const char*>>& Steps() {
  static const auto* const steps = new std::vector<std::vector<const char*>>{{
      // sequence: the number of the last write to filo_category; taking it serialises the writers.
      "CREATE TABLE filo_counter (name TEXT PRIMARY KEY, value BIGINT NOT NULL)",
      "INSERT INTO filo_counter (name, value) VALUES ('sequence', 0)",
      // A deleted category stays as a row without body, so that others learn of it and its revisions go on.
      "CREATE TABLE filo_category (id TEXT PRIMARY KEY, sequence BIGINT NOT NULL UNIQUE, revision BIGINT NOT "
      "NULL, "
      "body TEXT)",
      "CREATE TABLE filo_blob (category TEXT NOT NULL, id TEXT NOT NULL, bytes {blob} NOT NULL, "
      "PRIMARY KEY (category, id))",
      "CREATE TABLE filo_feedback (result_id TEXT PRIMARY KEY, category TEXT NOT NULL, time BIGINT NOT NULL, "
      "body TEXT NOT NULL)",
      "CREATE INDEX filo_feedback_category ON filo_feedback (category, time)",
      "CREATE TABLE filo_use (category TEXT PRIMARY KEY, time BIGINT NOT NULL)",
      "CREATE TABLE filo_audit (result_id TEXT PRIMARY KEY, time BIGINT NOT NULL, line TEXT NOT NULL)",
      "CREATE INDEX filo_audit_time ON filo_audit (time)",
  }};
  return *steps;
}

std::string WithBlobType(std::string sql, std::string_view type) {
  const std::size_t at = sql.find("{blob}");
  if (at != std::string::npos) sql.replace(at, 6, type);
  return sql;
}

}  // namespace

absl::Status Migrate(SqlDatabase& database) {
  static_assert(kSchemaVersion == 1, "add a step for every version");
  return database.Write([&](SqlConnection& connection) -> absl::Status {
    // Two servers that start at once: the second waits here until the first is done.
    if (database.kind() == "postgresql") {
      FILO_RETURN_IF_ERROR(connection.Run("SELECT pg_advisory_xact_lock(7023918445)").status());
    }
    FILO_RETURN_IF_ERROR(
        connection.Run("CREATE TABLE IF NOT EXISTS filo_schema (version BIGINT NOT NULL)").status());
    FILO_ASSIGN_OR_RETURN(const auto rows, connection.Run("SELECT MAX(version) FROM filo_schema"));
    const std::int64_t version = rows.empty() || rows[0].empty() ? 0 : SqlInteger(rows[0][0]);
    if (version > kSchemaVersion) {
      return absl::FailedPreconditionError(fmt::format(
          "the database's tables have version {}, this program knows up to {}: a newer server has written it",
          version, kSchemaVersion));
    }
    for (auto step = static_cast<std::size_t>(version); step < Steps().size(); ++step) {
      for (const char* sql : Steps()[step]) {
        FILO_RETURN_IF_ERROR(connection.Run(WithBlobType(sql, database.blob_type())).status());
      }
      FILO_RETURN_IF_ERROR(
          connection
              .Run("INSERT INTO filo_schema (version) VALUES ($1)", {static_cast<std::int64_t>(step + 1)})
              .status());
    }
    return absl::OkStatus();
  });
}

}  // namespace filo::category
