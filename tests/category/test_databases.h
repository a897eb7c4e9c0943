// Real databases for the store's tests: a SQLite file, or a PostgreSQL server that the test starts itself, on
// a Unix socket in its own folder, as an unprivileged user.
#pragma once

#include <sys/types.h>

#include <memory>
#include <string>

#include "server/category/sql.h"

namespace filo::category {

// A folder that goes when the object does; in memory (/dev/shm) where there is one, so that flushing costs
// nothing.
class TestFolder {
 public:
  TestFolder();
  ~TestFolder();
  TestFolder(const TestFolder&) = delete;
  TestFolder& operator=(const TestFolder&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

class PostgresServer {
 public:
  PostgresServer();   // initdb, then Start; fails the test if that does not work
  ~PostgresServer();  // stops it

  void Start();
  void Signal(int signal);  // to the postmaster
  void Kill();              // SIGKILL to the postmaster, and waits until all its processes are gone
  std::string connection(const std::string& database = "postgres") const;
  std::string MakeDatabase();  // a new one; returns its connection string

 private:
  std::string Binary(const std::string& name) const;
  std::string RunAs(const std::string& command) const;

  TestFolder folder_;
  pid_t pid_ = -1;
  int databases_ = 0;
};

// The database that one test works on, for both kinds.
class TestDatabase {
 public:
  virtual ~TestDatabase() = default;
  // A connection of its own, as another replica would have.
  virtual std::unique_ptr<SqlDatabase> Open() = 0;
  virtual std::string kind() const = 0;
  virtual std::string location() const = 0;  // for store_writer
};

// `kind` is "sqlite" or "postgresql"; the latter share one server per process.
std::unique_ptr<TestDatabase> MakeTestDatabase(const std::string& kind);
PostgresServer& SharedPostgres();

}  // namespace filo::category
