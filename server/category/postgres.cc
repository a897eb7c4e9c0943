#include <libpq-fe.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <mutex>

#include "absl/time/clock.h"
#include "fmt/format.h"
#include "server/base/status.h"
#include "server/category/sql.h"

namespace filo::category {
namespace {

constexpr Oid kInt8 = 20, kInt4 = 23, kText = 25, kBytea = 17;
constexpr char kChannel[] = "filo_category";

using Result = std::unique_ptr<PGresult, void (*)(PGresult*)>;

std::string OneLine(const char* message) {
  std::string text = message == nullptr ? "" : message;
  for (char& c : text) {
    if (c == '\n') c = ' ';
  }
  while (!text.empty() && text.back() == ' ') text.pop_back();
  return text;
}

// By SQLSTATE (PostgreSQL documentation, appendix A).
absl::Status ServerError(const PGresult* result) {
  const char* raw = PQresultErrorField(result, PG_DIAG_SQLSTATE);
  const std::string_view state = raw == nullptr ? "" : raw;
  const std::string message = fmt::format("PostgreSQL: {}", OneLine(PQresultErrorMessage(result)));
  if (state == "23505") return absl::AlreadyExistsError(message);
  if (state == "40001" || state == "40P01") return absl::AbortedError(message);
  const std::string_view kind = state.substr(0, 2);
  // Connection trouble, operator intervention, resources, a read-only standby, system errors; no state at
  // all: the connection broke.
  if (state.empty() || kind == "08" || kind == "57" || kind == "53" || kind == "58" || state == "25006") {
    return absl::UnavailableError(message);
  }
  if (kind == "28" || kind == "42" || kind == "3D") {
    return state == "42501" || kind == "28" ? absl::PermissionDeniedError(message)
                                            : absl::InternalError(message);
  }
  if (kind == "22") return absl::InvalidArgumentError(message);
  return absl::InternalError(message);
}

std::int64_t BigEndian(const char* bytes, int count) {
  std::uint64_t value = 0;
  for (int i = 0; i < count; ++i) value = value << 8 | static_cast<std::uint8_t>(bytes[i]);
  if (count == 4) return static_cast<std::int32_t>(static_cast<std::uint32_t>(value));
  return static_cast<std::int64_t>(value);
}

// One connection, with a deadline on everything it does. Not thread-safe.
class Link : public SqlConnection {
 public:
  Link(std::string connection, absl::Duration timeout) : string_(std::move(connection)), timeout_(timeout) {}
  ~Link() override { Close(); }

  bool open() const { return connection_ != nullptr; }
  int socket() const { return PQsocket(connection_); }
  PGconn* raw() { return connection_; }

  void Close() {
    if (connection_ != nullptr) PQfinish(connection_);
    connection_ = nullptr;
  }

  absl::Status Open() {
    Close();
    const absl::Time deadline = absl::Now() + timeout_;
    connection_ = PQconnectStart(string_.c_str());
    if (connection_ == nullptr) return absl::ResourceExhaustedError("PostgreSQL: out of memory");
    PostgresPollingStatusType state = PGRES_POLLING_WRITING;
    while (state != PGRES_POLLING_OK) {
      if (state == PGRES_POLLING_FAILED || PQstatus(connection_) == CONNECTION_BAD) {
        return Fail(
            absl::UnavailableError(fmt::format("PostgreSQL: {}", OneLine(PQerrorMessage(connection_)))));
      }
      if (!Wait(state == PGRES_POLLING_READING ? POLLIN : POLLOUT, deadline)) return Fail(TooSlow("connect"));
      state = PQconnectPoll(connection_);
    }
    PQsetNoticeProcessor(
        connection_, [](void*, const char*) {}, nullptr);
    if (PQsetnonblocking(connection_, 1) != 0)
      return Fail(absl::UnavailableError("PostgreSQL: connection is unusable"));
    return absl::OkStatus();
  }

  // A connection-level failure closes the connection.
  absl::StatusOr<std::vector<SqlRow>> Run(std::string_view sql,
                                          std::span<const SqlValue> parameters) override {
    if (connection_ == nullptr) return absl::UnavailableError("PostgreSQL: the connection is gone");
    const absl::Time deadline = absl::Now() + timeout_;
    if (!Send(std::string(sql), parameters)) {
      return Fail(
          absl::UnavailableError(fmt::format("PostgreSQL: {}", OneLine(PQerrorMessage(connection_)))));
    }
    FILO_RETURN_IF_ERROR(Flush(deadline));
    absl::StatusOr<std::vector<SqlRow>> rows = std::vector<SqlRow>();
    while (true) {
      FILO_RETURN_IF_ERROR(Receive(deadline));
      const Result result(PQgetResult(connection_), &PQclear);
      if (result == nullptr) break;
      const ExecStatusType status = PQresultStatus(result.get());
      if (status == PGRES_TUPLES_OK) {
        rows = Rows(result.get());
      } else if (status == PGRES_COMMAND_OK && sql == "COMMIT" &&
                 std::string_view(PQcmdStatus(result.get())) == "ROLLBACK") {
        rows = absl::AbortedError("PostgreSQL: the transaction had failed before");
      } else if (status != PGRES_COMMAND_OK && rows.ok()) {
        rows = ServerError(result.get());
      }
    }
    if (PQstatus(connection_) == CONNECTION_BAD) {
      const absl::Status status = rows.status();
      return Fail(status.ok() ? absl::UnavailableError("PostgreSQL: the connection broke") : status);
    }
    return rows;
  }

 private:
  absl::Status Fail(absl::Status status) {
    Close();
    return status;
  }
  absl::Status TooSlow(std::string_view action) const {
    return absl::UnavailableError(
        fmt::format("PostgreSQL: did not {} within {} s", action, absl::ToDoubleSeconds(timeout_)));
  }

  bool Wait(short events, absl::Time deadline) {
    while (true) {
      const absl::Duration left = deadline - absl::Now();
      if (left <= absl::ZeroDuration()) return false;
      pollfd entry{PQsocket(connection_), events, 0};
      const int ready = poll(&entry, 1, static_cast<int>(absl::ToInt64Milliseconds(left)) + 1);
      if (ready > 0) return true;
      if (ready < 0 && errno != EINTR) return false;
    }
  }

  bool Send(const std::string& sql, std::span<const SqlValue> parameters) {
    const std::size_t n = parameters.size();
    std::vector<Oid> types(n, 0);
    std::vector<const char*> values(n, nullptr);
    std::vector<int> lengths(n, 0), formats(n, 1);
    std::vector<std::string> numbers(n);
    for (std::size_t i = 0; i < n; ++i) {
      if (const auto* number = std::get_if<std::int64_t>(&parameters[i])) {
        for (int shift = 56; shift >= 0; shift -= 8) {
          numbers[i].push_back(static_cast<char>(static_cast<std::uint64_t>(*number) >> shift));
        }
        types[i] = kInt8;
        values[i] = numbers[i].data();
        lengths[i] = 8;
      } else if (const auto* text = std::get_if<std::string>(&parameters[i])) {
        types[i] = kText;
        values[i] = text->data();
        lengths[i] = static_cast<int>(text->size());
      } else if (const auto* blob = std::get_if<SqlBlob>(&parameters[i])) {
        types[i] = kBytea;
        values[i] = blob->bytes.data();
        lengths[i] = static_cast<int>(blob->bytes.size());
      }
    }
    return PQsendQueryParams(connection_, sql.c_str(), static_cast<int>(n), types.data(), values.data(),
                             lengths.data(), formats.data(), /*resultFormat=*/1) == 1;
  }

  absl::Status Flush(absl::Time deadline) {
    int left = 0;
    while ((left = PQflush(connection_)) == 1) {
      if (!Wait(POLLIN | POLLOUT, deadline)) return Fail(TooSlow("take a statement"));
      if (PQconsumeInput(connection_) == 0) break;
    }
    if (left < 0)
      return Fail(
          absl::UnavailableError(fmt::format("PostgreSQL: {}", OneLine(PQerrorMessage(connection_)))));
    return absl::OkStatus();
  }

  // Until PQgetResult would not block.
  absl::Status Receive(absl::Time deadline) {
    while (PQisBusy(connection_) == 1) {
      if (!Wait(POLLIN, deadline)) return Fail(TooSlow("answer"));
      if (PQconsumeInput(connection_) == 0) {
        return Fail(
            absl::UnavailableError(fmt::format("PostgreSQL: {}", OneLine(PQerrorMessage(connection_)))));
      }
    }
    return absl::OkStatus();
  }

  static std::vector<SqlRow> Rows(const PGresult* result) {
    std::vector<SqlRow> rows(static_cast<std::size_t>(PQntuples(result)));
    for (int r = 0; r < PQntuples(result); ++r) {
      for (int c = 0; c < PQnfields(result); ++c) {
        SqlRow& row = rows[static_cast<std::size_t>(r)];
        const char* bytes = PQgetvalue(result, r, c);
        const int length = PQgetlength(result, r, c);
        if (PQgetisnull(result, r, c) == 1) {
          row.emplace_back(std::monostate());
          continue;
        }
        switch (PQftype(result, c)) {
          case kInt8:
          case kInt4:
            row.emplace_back(BigEndian(bytes, length));
            break;
          case kBytea:
            row.emplace_back(SqlBlob{std::string(bytes, static_cast<std::size_t>(length))});
            break;
          default:
            row.emplace_back(std::string(bytes, static_cast<std::size_t>(length)));
        }
      }
    }
    return rows;
  }

  const std::string string_;
  const absl::Duration timeout_;
  PGconn* connection_ = nullptr;
};

class Postgres : public SqlDatabase {
 public:
  explicit Postgres(const PostgresOptions& options)
      : link_(options.connection, options.timeout),
        listener_(options.connection, options.timeout),
        wake_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}
  ~Postgres() override { close(wake_); }

  std::string_view kind() const override { return "postgresql"; }
  std::string_view blob_type() const override { return "BYTEA"; }

  absl::Status Write(const Body& body) override { return Transact("BEGIN", body); }
  absl::Status Read(const Body& body) override {
    return Transact("BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY", body);
  }
  absl::Status Announce(SqlConnection& connection) override {
    return connection.Run(fmt::format("NOTIFY {}", kChannel), std::span<const SqlValue>()).status();
  }

  absl::Status WaitForChange(absl::Duration timeout) override {
    const absl::Time deadline = absl::Now() + timeout;
    if (!listener_.open()) {
      FILO_RETURN_IF_ERROR(listener_.Open());
      FILO_RETURN_IF_ERROR(
          listener_.Run(fmt::format("LISTEN {}", kChannel), std::span<const SqlValue>()).status());
      return absl::OkStatus();  // what was announced before is not known
    }
    while (true) {
      bool announced = false;
      while (PGnotify* notification = PQnotifies(listener_.raw())) {
        announced = true;
        PQfreemem(notification);
      }
      const absl::Duration left = deadline - absl::Now();
      if (announced || left <= absl::ZeroDuration()) return absl::OkStatus();
      pollfd entries[] = {{listener_.socket(), POLLIN, 0}, {wake_, POLLIN, 0}};
      const int ready = poll(entries, 2, static_cast<int>(absl::ToInt64Milliseconds(left)) + 1);
      if (ready > 0 && entries[1].revents != 0) return absl::OkStatus();
      if (ready > 0 && PQconsumeInput(listener_.raw()) == 0) {
        listener_.Close();
        return absl::UnavailableError("PostgreSQL: the connection that listens for changes broke");
      }
    }
  }

  void StopWaiting() override {
    const std::uint64_t one = 1;
    (void)!write(wake_, &one, sizeof(one));
  }

 private:
  static constexpr int kAttempts = 3;

  absl::Status Transact(const char* begin, const Body& body) {
    const std::lock_guard lock(mutex_);
    absl::Status status;
    for (int attempt = 0; attempt < kAttempts; ++attempt) {
      const bool fresh = !link_.open();
      if (fresh) FILO_RETURN_IF_ERROR(link_.Open());
      bool committing = false;
      status = Attempt(begin, body, committing);
      // A dead connection may only be found out by using it: once more with a new one, unless the commit was
      // under way.
      const bool stale = !fresh && !link_.open() && !committing && absl::IsUnavailable(status);
      if (!stale && !absl::IsAborted(status)) break;
    }
    return status;
  }

  absl::Status Attempt(const char* begin, const Body& body, bool& committing) {
    const auto run = [&](const char* sql) { return link_.Run(sql, std::span<const SqlValue>()).status(); };
    FILO_RETURN_IF_ERROR(run(begin));
    absl::Status status = body(link_);
    if (status.ok()) {
      committing = true;
      status = run("COMMIT");
      if (!link_.open()) status = Annotate(status, "the write may or may not have happened");
      return status;
    }
    if (link_.open()) {
      if (!run("ROLLBACK").ok()) link_.Close();
    }
    return status;
  }

  std::mutex mutex_;  // guards link_
  Link link_;
  Link listener_;  // used by the one caller of WaitForChange
  const int wake_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<SqlDatabase>> OpenPostgres(const PostgresOptions& options) {
  char* error = nullptr;
  PQconninfoOption* parsed = PQconninfoParse(options.connection.c_str(), &error);
  PQfreemem(error);
  if (parsed == nullptr) {
    return FieldError("postgres connection", "(not shown)",
                      "be a libpq connection string or postgresql:// URI");
  }
  PQconninfoFree(parsed);
  return std::make_unique<Postgres>(options);
}

}  // namespace filo::category
