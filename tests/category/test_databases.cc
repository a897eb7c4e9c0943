#include "tests/category/test_databases.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <pwd.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <thread>
#include <vector>

#include "fmt/format.h"
#include "server/base/status.h"

namespace filo::category {
namespace {

namespace fs = std::filesystem;

// Whom the server runs as when the test is root, which PostgreSQL refuses to be.
struct User {
  uid_t uid;
  gid_t gid;
};
User Unprivileged() {
  const passwd* entry = getpwnam("postgres");
  if (entry == nullptr) entry = getpwnam("nobody");
  return entry == nullptr ? User{65534, 65534} : User{entry->pw_uid, entry->pw_gid};
}

pid_t Spawn(const std::string& command, const std::string& log) {
  const pid_t pid = fork();
  if (pid != 0) return pid;
  const int out = open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
  dup2(out, 1);
  dup2(out, 2);
  setsid();
  execl("/bin/sh", "sh", "-c", ("exec " + command).c_str(), nullptr);
  _exit(127);
}

// Not so a zombie that nobody reaps (its parent is gone, and a container's first process may not care).
bool Lives(pid_t pid) {
  std::ifstream stat(fmt::format("/proc/{}/stat", pid));
  std::string number, name, state;
  stat >> number >> name >> state;
  return stat && state != "Z";
}

int Wait(pid_t pid) {
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

}  // namespace

TestFolder::TestFolder() {
  std::error_code error;
  std::string name =
      fs::is_directory("/dev/shm", error) ? "/dev/shm/filo-test-XXXXXX" : "/tmp/filo-test-XXXXXX";
  if (mkdtemp(name.data()) == nullptr) {
    name = "/tmp/filo-test-XXXXXX";
    EXPECT_NE(mkdtemp(name.data()), nullptr);
  }
  path_ = name;
}

TestFolder::~TestFolder() {
  std::error_code error;
  fs::remove_all(path_, error);
}

PostgresServer::PostgresServer() {
  if (geteuid() == 0) {
    const User user = Unprivileged();
    EXPECT_EQ(chown(folder_.path().c_str(), user.uid, user.gid), 0);
  }
  const std::string log = folder_.path() + "/initdb.log";
  const std::string init = fmt::format("{} -D {}/data -U filo -A trust -E UTF8 --locale=C --no-sync",
                                       Binary("initdb"), folder_.path());
  if (Wait(Spawn(RunAs(init), log)) != 0) {
    ADD_FAILURE() << "initdb failed (is postgresql-15 installed? docker/install-deps.sh test); see " << log;
    std::abort();
  }
  Start();
}

PostgresServer::~PostgresServer() {
  if (pid_ < 0) return;
  Signal(SIGCONT);
  Signal(SIGQUIT);  // at once, but with its shared memory given back
  Wait(pid_);
}

// Debian keeps the servers out of the search path.
std::string PostgresServer::Binary(const std::string& name) const {
  std::string best = name;
  std::error_code error;
  for (fs::directory_iterator it("/usr/lib/postgresql", error), end; !error && it != end;
       it.increment(error)) {
    const fs::path candidate = it->path() / "bin" / name;
    if (fs::exists(candidate)) best = candidate.string();
  }
  return best;
}

std::string PostgresServer::RunAs(const std::string& command) const {
  if (geteuid() != 0) return command;
  const User user = Unprivileged();
  return fmt::format("setpriv --reuid {} --regid {} --clear-groups --pdeathsig KILL {}", user.uid, user.gid,
                     command);
}

void PostgresServer::Start() {
  const std::string command = fmt::format(
      "{} -D {}/data -k {} -c listen_addresses= -c max_connections=50 -c shared_buffers=16MB "
      "-c dynamic_shared_memory_type=mmap",
      Binary("postgres"), folder_.path(), folder_.path());
  pid_ = Spawn(RunAs(command), folder_.path() + "/postgres.log");
  const auto database = OpenPostgres({.connection = connection(), .timeout = absl::Seconds(2)});
  ASSERT_TRUE(database.ok()) << database.status();
  absl::Status status;
  for (int attempt = 0; attempt < 200; ++attempt) {
    status = (*database)->Read([](SqlConnection& c) { return c.Run("SELECT 1").status(); });
    if (status.ok()) return;
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  FAIL() << "PostgreSQL did not start: " << status;
}

void PostgresServer::Signal(int signal) { kill(pid_, signal); }

void PostgresServer::Kill() {
  if (pid_ < 0) return;
  // A new server refuses to start while old backends hold the shared memory: kill them too.
  std::vector<pid_t> all;
  std::ifstream children(fmt::format("/proc/{0}/task/{0}/children", pid_));
  for (pid_t child = 0; children >> child;) all.push_back(child);
  kill(pid_, SIGKILL);
  for (const pid_t child : all) kill(child, SIGKILL);
  Wait(pid_);
  pid_ = -1;
  for (const pid_t child : all) {
    for (int i = 0; i < 500 && Lives(child); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  std::error_code error;
  fs::remove(folder_.path() + "/data/postmaster.pid", error);
}

std::string PostgresServer::connection(const std::string& database) const {
  return fmt::format("host={} user=filo dbname={} connect_timeout=5", folder_.path(), database);
}

std::string PostgresServer::MakeDatabase() {
  const std::string name = fmt::format("test{}", ++databases_);
  // CREATE DATABASE cannot run inside a transaction: use the template through psql.
  const std::string command =
      fmt::format("{} -h {} -U filo -c 'CREATE DATABASE {}' postgres", Binary("psql"), folder_.path(), name);
  EXPECT_EQ(Wait(Spawn(command, folder_.path() + "/psql.log")), 0);
  return connection(name);
}

PostgresServer& SharedPostgres() {
  static PostgresServer server;
  return server;
}

namespace {

class SqliteFile : public TestDatabase {
 public:
  std::unique_ptr<SqlDatabase> Open() override {
    auto database = OpenSqlite({.path = location(), .busy_timeout = absl::Seconds(2)});
    EXPECT_TRUE(database.ok()) << database.status();
    return *std::move(database);
  }
  std::string kind() const override { return "sqlite"; }
  std::string location() const override { return folder_.path() + "/categories.db"; }

 private:
  TestFolder folder_;
};

class PostgresDatabase : public TestDatabase {
 public:
  PostgresDatabase() : connection_(SharedPostgres().MakeDatabase()) {}
  std::unique_ptr<SqlDatabase> Open() override {
    auto database = OpenPostgres({.connection = connection_, .timeout = absl::Seconds(2)});
    EXPECT_TRUE(database.ok()) << database.status();
    return *std::move(database);
  }
  std::string kind() const override { return "postgresql"; }
  std::string location() const override { return connection_; }

 private:
  const std::string connection_;
};

}  // namespace

std::unique_ptr<TestDatabase> MakeTestDatabase(const std::string& kind) {
  if (kind == "sqlite") return std::make_unique<SqliteFile>();
  return std::make_unique<PostgresDatabase>();
}

}  // namespace filo::category
