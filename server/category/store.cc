#include "server/category/store.h"

#include <algorithm>

#include "absl/time/clock.h"
#include "fmt/format.h"
#include "server/base/sha256.h"
#include "server/base/status.h"
#include "server/category/validation.h"

namespace filo::category {
namespace {

using Rows = std::vector<SqlRow>;

absl::Status NoCategory(const std::string& id) {
  return absl::NotFoundError(fmt::format("there is no category \"{}\"", id));
}

// The number of this write. The row stays locked until the transaction ends: writers follow each other.
absl::StatusOr<std::int64_t> NextSequence(SqlConnection& connection) {
  FILO_ASSIGN_OR_RETURN(const Rows rows,
                        connection.Run("UPDATE filo_counter SET value = value + 1 WHERE name = 'sequence' "
                                       "RETURNING value"));
  if (rows.size() != 1 || rows[0].size() != 1)
    return absl::DataLossError("the database lost its sequence counter");
  return SqlInteger(rows[0][0]);
}

struct Found {
  std::int64_t sequence = 0;
  std::int64_t revision = 0;     // also of a deleted one; 0 = never was
  std::optional<Record> record;  // none = deleted or never was
};

absl::StatusOr<Found> Find(SqlConnection& connection, const std::string& id) {
  FILO_ASSIGN_OR_RETURN(
      const Rows rows,
      connection.Run("SELECT sequence, revision, body FROM filo_category WHERE id = $1", {id}));
  Found found;
  if (rows.empty()) return found;
  found.sequence = SqlInteger(rows[0][0]);
  found.revision = SqlInteger(rows[0][1]);
  if (std::holds_alternative<std::monostate>(rows[0][2])) return found;
  FILO_ASSIGN_OR_RETURN(found.record, FromJson(SqlText(rows[0][2])));
  return found;
}

// Fills in what is the store's to say, and writes.
absl::Status Put(SqlConnection& connection, std::int64_t sequence, std::int64_t revision, Record& record) {
  record.revision = revision;
  record.etag.clear();
  record.etag = Sha256Hex(fmt::format("{} {}", sequence, ToJson(record))).substr(0, 16);
  return connection
      .Run(
          "INSERT INTO filo_category (id, sequence, revision, body) VALUES ($1, $2, $3, $4) "
          "ON CONFLICT (id) DO UPDATE SET sequence = excluded.sequence, revision = excluded.revision, "
          "body = excluded.body",
          {record.id(), sequence, revision, ToJson(record)})
      .status();
}

// The time of a write, never before the record's last one.
absl::Time WriteTime(const Record& record) {
  return std::max(absl::Now(), record.update_time + absl::Nanoseconds(1));
}

}  // namespace

absl::StatusOr<std::unique_ptr<Store>> Store::Open(std::unique_ptr<SqlDatabase> database) {
  FILO_RETURN_IF_ERROR(Migrate(*database));
  return std::unique_ptr<Store>(new Store(std::move(database)));
}

absl::StatusOr<Versioned> Store::Create(const Record& contents) {
  FILO_RETURN_IF_ERROR(ValidateRecord(contents));
  Versioned out{.id = contents.id(), .sequence = 0, .record = std::nullopt};
  const absl::Status done = database_->Write([&](SqlConnection& connection) -> absl::Status {
    FILO_ASSIGN_OR_RETURN(out.sequence, NextSequence(connection));
    FILO_ASSIGN_OR_RETURN(const Found found, Find(connection, out.id));
    if (found.record.has_value()) {
      return absl::AlreadyExistsError(fmt::format("there is a category \"{}\" already", out.id));
    }
    Record record = contents;
    record.references.clear();
    record.calibration.reset();
    record.create_time = record.update_time = absl::Now();
    FILO_RETURN_IF_ERROR(Put(connection, out.sequence, found.revision + 1, record));
    out.record = std::move(record);
    return database_->Announce(connection);
  });
  FILO_RETURN_IF_ERROR(done);
  return out;
}

absl::StatusOr<Versioned> Store::Get(const std::string& id) {
  Versioned out{.id = id, .sequence = 0, .record = std::nullopt};
  const absl::Status done = database_->Read([&](SqlConnection& connection) -> absl::Status {
    FILO_ASSIGN_OR_RETURN(Found found, Find(connection, id));
    if (!found.record.has_value()) return NoCategory(id);
    out.sequence = found.sequence;
    out.record = std::move(found.record);
    return absl::OkStatus();
  });
  FILO_RETURN_IF_ERROR(done);
  return out;
}

absl::StatusOr<Versioned> Store::Modify(const std::string& id, const std::string& etag, const Edit& edit) {
  Versioned out{.id = id, .sequence = 0, .record = std::nullopt};
  const absl::Status done = database_->Write([&](SqlConnection& connection) -> absl::Status {
    FILO_ASSIGN_OR_RETURN(out.sequence, NextSequence(connection));
    FILO_ASSIGN_OR_RETURN(Found found, Find(connection, id));
    if (!found.record.has_value()) return NoCategory(id);
    Record& record = *found.record;
    if (!etag.empty() && etag != record.etag) {
      return absl::AbortedError(
          fmt::format("category \"{}\" has changed meanwhile: its etag is {}, not {}; read it again", id,
                      record.etag, etag));
    }
    const std::int64_t revision = record.revision + 1;
    record.update_time = WriteTime(record);
    FILO_RETURN_IF_ERROR(edit(connection, record));
    FILO_RETURN_IF_ERROR(Put(connection, out.sequence, revision, record));
    out.record = std::move(record);
    return database_->Announce(connection);
  });
  FILO_RETURN_IF_ERROR(done);
  return out;
}

absl::StatusOr<Versioned> Store::Update(const std::string& id, const std::string& etag,
                                        const std::function<absl::Status(Record&)>& change) {
  return Modify(id, etag, [&](SqlConnection&, Record& record) -> absl::Status {
    Record changed = record;
    FILO_RETURN_IF_ERROR(change(changed));
    record.definition = std::move(changed.definition);
    record.definition.name = id;
    record.inspection = std::move(changed.inspection);
    record.labels = std::move(changed.labels);
    return ValidateRecord(record);
  });
}

absl::StatusOr<Versioned> Store::Delete(const std::string& id, const std::string& etag) {
  Versioned out{.id = id, .sequence = 0, .record = std::nullopt};
  const absl::Status done = database_->Write([&](SqlConnection& connection) -> absl::Status {
    FILO_ASSIGN_OR_RETURN(out.sequence, NextSequence(connection));
    FILO_ASSIGN_OR_RETURN(const Found found, Find(connection, id));
    if (!found.record.has_value()) return NoCategory(id);
    if (!etag.empty() && etag != found.record->etag) {
      return absl::AbortedError(fmt::format("category \"{}\" has changed meanwhile: its etag is {}, not {}",
                                            id, found.record->etag, etag));
    }
    FILO_RETURN_IF_ERROR(
        connection
            .Run("UPDATE filo_category SET sequence = $2, revision = revision + 1, body = NULL "
                 "WHERE id = $1",
                 {id, out.sequence})
            .status());
    for (const char* table : {"filo_blob", "filo_feedback", "filo_use"}) {
      FILO_RETURN_IF_ERROR(
          connection.Run(fmt::format("DELETE FROM {} WHERE category = $1", table), {id}).status());
    }
    return database_->Announce(connection);
  });
  FILO_RETURN_IF_ERROR(done);
  return out;
}

absl::StatusOr<Versioned> Store::AddReference(const std::string& id, const Reference& reference,
                                              std::string bytes) {
  if (bytes.empty() || bytes.size() > kMaxReferenceBytes) {
    return FieldError("image", fmt::format("{} bytes long", bytes.size()),
                      fmt::format("have 1 to {} bytes", kMaxReferenceBytes));
  }
  const SqlBlob blob{std::move(bytes)};
  return Modify(id, "", [&](SqlConnection& connection, Record& record) -> absl::Status {
    for (const Reference& other : record.references) {
      if (other.id == reference.id || other.sha256 == reference.sha256) {
        return absl::AlreadyExistsError(
            fmt::format("category \"{}\" has this photograph already, as reference \"{}\"", id, other.id));
      }
    }
    if (record.references.size() >= kMaxReferences) {
      return absl::ResourceExhaustedError(
          fmt::format("category \"{}\" has {} references, the most there may be", id, kMaxReferences));
    }
    record.references.push_back(reference);
    record.references.back().create_time = record.update_time;
    return connection
        .Run("INSERT INTO filo_blob (category, id, bytes) VALUES ($1, $2, $3)",
             {id, "reference/" + reference.id, blob})
        .status();
  });
}

namespace {

absl::StatusOr<std::string> ReadBlob(SqlDatabase& database, const std::string& category,
                                     const std::string& id, std::string_view what) {
  std::string bytes;
  const absl::Status done = database.Read([&](SqlConnection& connection) -> absl::Status {
    FILO_ASSIGN_OR_RETURN(
        Rows rows,
        connection.Run("SELECT bytes FROM filo_blob WHERE category = $1 AND id = $2", {category, id}));
    if (rows.empty()) return absl::NotFoundError(fmt::format("category \"{}\" has no {}", category, what));
    bytes = SqlBytes(rows[0][0]);
    return absl::OkStatus();
  });
  FILO_RETURN_IF_ERROR(done);
  return bytes;
}

}  // namespace

absl::StatusOr<std::string> Store::ReadReference(const std::string& id, const std::string& reference_id) {
  return ReadBlob(*database_, id, "reference/" + reference_id, fmt::format("reference \"{}\"", reference_id));
}

absl::StatusOr<Versioned> Store::RemoveReference(const std::string& id, const std::string& reference_id) {
  return Modify(id, "", [&](SqlConnection& connection, Record& record) -> absl::Status {
    const auto removed = std::erase_if(
        record.references, [&](const Reference& reference) { return reference.id == reference_id; });
    if (removed == 0) {
      return absl::NotFoundError(fmt::format("category \"{}\" has no reference \"{}\"", id, reference_id));
    }
    return connection
        .Run("DELETE FROM filo_blob WHERE category = $1 AND id = $2", {id, "reference/" + reference_id})
        .status();
  });
}

absl::StatusOr<Versioned> Store::SetCalibration(const std::string& id, const Calibration& calibration,
                                                std::string baseline) {
  const SqlBlob blob{std::move(baseline)};
  return Modify(id, "", [&](SqlConnection& connection, Record& record) -> absl::Status {
    if (calibration.definition_digest != DefinitionDigest(record.definition)) {
      return absl::AbortedError(
          fmt::format("category \"{}\" was changed while it was calibrated; calibrate it again", id));
    }
    if (record.calibration.has_value() && !record.calibration->baseline_id.empty()) {
      FILO_RETURN_IF_ERROR(connection
                               .Run("DELETE FROM filo_blob WHERE category = $1 AND id = $2",
                                    {id, "baseline/" + record.calibration->baseline_id})
                               .status());
    }
    record.calibration = calibration;
    if (blob.bytes.empty() || calibration.baseline_id.empty()) return absl::OkStatus();
    return connection
        .Run("INSERT INTO filo_blob (category, id, bytes) VALUES ($1, $2, $3)",
             {id, "baseline/" + calibration.baseline_id, blob})
        .status();
  });
}

absl::StatusOr<std::string> Store::ReadBaseline(const std::string& id, const std::string& baseline_id) {
  return ReadBlob(*database_, id, "baseline/" + baseline_id, "baseline map");
}

absl::StatusOr<Changes> Store::ChangesSince(std::int64_t sequence) {
  Changes out;
  const absl::Status done = database_->Read([&](SqlConnection& connection) -> absl::Status {
    out = Changes();
    FILO_ASSIGN_OR_RETURN(const Rows counter,
                          connection.Run("SELECT value FROM filo_counter WHERE name = 'sequence'"));
    if (counter.size() != 1) return absl::DataLossError("the database lost its sequence counter");
    out.sequence = SqlInteger(counter[0][0]);
    // A smaller number than we know: somebody put back an old copy of the database.
    out.everything = sequence <= 0 || out.sequence < sequence;
    const std::int64_t since = out.everything ? 0 : sequence;
    if (!out.everything && out.sequence == sequence) return absl::OkStatus();
    FILO_ASSIGN_OR_RETURN(const Rows rows,
                          connection.Run("SELECT id, sequence, body FROM filo_category WHERE sequence > $1 "
                                         "ORDER BY sequence",
                                         {since}));
    for (const SqlRow& row : rows) {
      Versioned& change = out.changes.emplace_back();
      change.id = SqlText(row[0]);
      change.sequence = SqlInteger(row[1]);
      if (std::holds_alternative<std::monostate>(row[2])) continue;
      auto record = FromJson(SqlText(row[2]));
      if (!record.ok()) return Annotate(record.status(), fmt::format("category \"{}\"", change.id));
      change.record = *std::move(record);
    }
    return absl::OkStatus();
  });
  FILO_RETURN_IF_ERROR(done);
  return out;
}

}  // namespace filo::category
