// The parts of Store that no catalogue needs: feedback, use and the audit trail.
#include <algorithm>
#include <set>

#include "fmt/format.h"
#include "nlohmann/json.hpp"
#include "server/base/status.h"
#include "server/category/store.h"

namespace filo::category {
namespace {

using Rows = std::vector<SqlRow>;

std::string FeedbackJson(const Feedback& f) {
  const nlohmann::json json{{"defective", f.defective},
                            {"note", f.note},
                            {"score", f.score},
                            {"map_max", f.map_max},
                            {"map_median", f.map_median},
                            {"bundle_digest", f.bundle_digest},
                            {"definition_digest", f.definition_digest},
                            {"settings_digest", f.settings_digest}};
  return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

absl::StatusOr<Feedback> ParseFeedback(const SqlRow& row) {
  const nlohmann::json json = nlohmann::json::parse(SqlText(row[3]), nullptr, false);
  if (!json.is_object()) return absl::DataLossError("stored feedback: is no JSON object");
  Feedback f;
  f.result_id = SqlText(row[0]);
  f.category_id = SqlText(row[1]);
  f.time = absl::FromUnixNanos(SqlInteger(row[2]));
  try {
    json.at("defective").get_to(f.defective);
    json.at("note").get_to(f.note);
    json.at("score").get_to(f.score);
    json.at("map_max").get_to(f.map_max);
    json.at("map_median").get_to(f.map_median);
    json.at("bundle_digest").get_to(f.bundle_digest);
    json.at("definition_digest").get_to(f.definition_digest);
    json.at("settings_digest").get_to(f.settings_digest);
  } catch (const nlohmann::json::exception& error) {
    return absl::DataLossError(fmt::format("stored feedback: {}", error.what()));
  }
  return f;
}

}  // namespace

absl::Status Store::AddFeedback(const Feedback& f) {
  return database_->Write([&](SqlConnection& connection) {
    return connection
        .Run(
            "INSERT INTO filo_feedback (result_id, category, time, body) VALUES ($1, $2, $3, $4) "
            "ON CONFLICT (result_id) DO UPDATE SET time = excluded.time, body = excluded.body",
            {f.result_id, f.category_id, absl::ToUnixNanos(f.time), FeedbackJson(f)})
        .status();
  });
}

absl::StatusOr<std::vector<Feedback>> Store::FeedbackOf(const std::string& id, int limit) {
  std::vector<Feedback> out;
  const absl::Status done = database_->Read([&](SqlConnection& connection) -> absl::Status {
    out.clear();
    FILO_ASSIGN_OR_RETURN(const Rows rows,
                          connection.Run("SELECT result_id, category, time, body FROM filo_feedback "
                                         "WHERE category = $1 ORDER BY time DESC, result_id DESC LIMIT $2",
                                         {id, static_cast<std::int64_t>(limit)}));
    for (const SqlRow& row : rows) {
      FILO_ASSIGN_OR_RETURN(Feedback feedback, ParseFeedback(row));
      out.push_back(std::move(feedback));
    }
    return absl::OkStatus();
  });
  FILO_RETURN_IF_ERROR(done);
  std::reverse(out.begin(), out.end());
  return out;
}

absl::Status Store::MarkUsed(const std::vector<std::string>& ids, absl::Time now) {
  if (ids.empty()) return absl::OkStatus();
  const std::set<std::string> sorted(ids.begin(), ids.end());  // one order of locking for all
  return database_->Write([&](SqlConnection& connection) -> absl::Status {
    for (const std::string& id : sorted) {
      FILO_RETURN_IF_ERROR(connection
                               .Run("INSERT INTO filo_use (category, time) VALUES ($1, $2) "
                                    "ON CONFLICT (category) DO UPDATE SET time = excluded.time",
                                    {id, absl::ToUnixNanos(now)})
                               .status());
    }
    return absl::OkStatus();
  });
}

absl::StatusOr<std::vector<std::string>> Store::UsedSince(absl::Time time, int limit) {
  std::vector<std::string> out;
  const absl::Status done = database_->Read([&](SqlConnection& connection) -> absl::Status {
    out.clear();
    FILO_ASSIGN_OR_RETURN(const Rows rows,
                          connection.Run("SELECT category FROM filo_use WHERE time >= $1 "
                                         "ORDER BY time DESC, category LIMIT $2",
                                         {absl::ToUnixNanos(time), static_cast<std::int64_t>(limit)}));
    for (const SqlRow& row : rows) out.push_back(SqlText(row[0]));
    return absl::OkStatus();
  });
  FILO_RETURN_IF_ERROR(done);
  return out;
}

absl::Status Store::AppendAudit(const std::vector<AuditLine>& lines) {
  return database_->Write([&](SqlConnection& connection) -> absl::Status {
    for (const AuditLine& line : lines) {
      FILO_RETURN_IF_ERROR(connection
                               .Run("INSERT INTO filo_audit (result_id, time, line) VALUES ($1, $2, $3) "
                                    "ON CONFLICT (result_id) DO NOTHING",
                                    {line.result_id, absl::ToUnixNanos(line.time), line.json})
                               .status());
    }
    return absl::OkStatus();
  });
}

absl::StatusOr<std::string> Store::FindAudit(const std::string& result_id) {
  std::string line;
  const absl::Status done = database_->Read([&](SqlConnection& connection) -> absl::Status {
    FILO_ASSIGN_OR_RETURN(const Rows rows,
                          connection.Run("SELECT line FROM filo_audit WHERE result_id = $1", {result_id}));
    if (rows.empty())
      return absl::NotFoundError(fmt::format("there is no result \"{}\" in the audit trail", result_id));
    line = SqlText(rows[0][0]);
    return absl::OkStatus();
  });
  FILO_RETURN_IF_ERROR(done);
  return line;
}

absl::StatusOr<std::int64_t> Store::DropAuditBefore(absl::Time time) {
  std::int64_t dropped = 0;
  const absl::Status done = database_->Write([&](SqlConnection& connection) -> absl::Status {
    FILO_ASSIGN_OR_RETURN(const Rows rows,
                          connection.Run("DELETE FROM filo_audit WHERE time < $1 RETURNING result_id",
                                         {absl::ToUnixNanos(time)}));
    dropped = static_cast<std::int64_t>(rows.size());
    return absl::OkStatus();
  });
  FILO_RETURN_IF_ERROR(done);
  return dropped;
}

}  // namespace filo::category
