// An acknowledged write survives kill -9 at any moment: of the writer, and of the database server.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <map>
#include <random>
#include <sstream>

#include "absl/time/clock.h"
#include "server/category/store.h"
#include "tests/category/test_databases.h"

namespace filo::category {
namespace {

struct Writer {
  pid_t pid;
  int output;
};

Writer StartWriter(const std::string& kind, const std::string& location) {
  int ends[2];
  EXPECT_EQ(pipe(ends), 0);
  const pid_t pid = fork();
  if (pid == 0) {
    dup2(ends[1], STDOUT_FILENO);
    close(ends[0]);
    close(ends[1]);
    execl(STORE_WRITER, STORE_WRITER, kind.c_str(), location.c_str(), nullptr);
    _exit(127);
  }
  close(ends[1]);
  return {pid, ends[0]};
}

// The last acknowledged revision of each category, and how many acknowledgements there were.
struct Acknowledged {
  std::map<std::string, std::int64_t> revisions;
  int count = 0;

  void Read(int descriptor, const std::function<bool(int count)>& go_on) {
    std::string text;
    char buffer[4096];
    int in_this_run = 0;
    bool reading = true;
    for (ssize_t n = 0; reading && (n = read(descriptor, buffer, sizeof(buffer))) > 0;) {
      text.append(buffer, static_cast<std::size_t>(n));
      std::size_t newline = 0;
      while ((newline = text.find('\n')) != std::string::npos) {
        std::istringstream line(text.substr(0, newline));
        std::string id;
        std::int64_t revision = 0;
        line >> id >> revision;
        revisions[id] = std::max(revisions[id], revision);
        ++count;
        ++in_this_run;
        text.erase(0, newline + 1);
      }
      reading = go_on(in_this_run);
    }
  }
};

void ExpectAllThere(Store& store, const Acknowledged& acknowledged) {
  for (const auto& [id, revision] : acknowledged.revisions) {
    const auto record = store.Get(id);
    ASSERT_TRUE(record.ok()) << id << ": " << record.status();
    // One more may have been committed without the word getting out.
    EXPECT_GE(record->record->revision, revision) << id;
    EXPECT_LE(record->record->revision, revision + 1) << id;
    if (record->record->revision > 1) {
      EXPECT_EQ(record->record->labels.at("revision"), std::to_string(record->record->revision)) << id;
    }
  }
}

void KillWriters(const std::string& kind, int runs, int writes_at_least) {
  const auto database = MakeTestDatabase(kind);
  Acknowledged acknowledged;
  std::mt19937 random(3);
  for (int run = 0; run < runs; ++run) {
    const Writer writer = StartWriter(kind, database->location());
    const int stop_after = 1 + static_cast<int>(random() % 200);
    acknowledged.Read(writer.output, [&](int count) { return count < stop_after; });
    usleep(random() % 3000);  // anywhere in a write
    kill(writer.pid, SIGKILL);
    acknowledged.Read(writer.output, [](int) { return true; });  // what it said before it died
    close(writer.output);
    int status = 0;
    waitpid(writer.pid, &status, 0);
    ASSERT_TRUE(WIFSIGNALED(status)) << "the writer ended by itself with " << WEXITSTATUS(status);
    const auto store = Store::Open(database->Open());
    ASSERT_TRUE(store.ok()) << store.status();
    ExpectAllThere(**store, acknowledged);
    // The order of writes has no gap and no repeat either.
    const auto changes = (*store)->ChangesSince(0);
    ASSERT_TRUE(changes.ok()) << changes.status();
    EXPECT_LE(changes->changes.size(), 7u);
  }
  EXPECT_GE(acknowledged.count, writes_at_least);
}

TEST(StoreKillTest, SqliteWriter) { KillWriters("sqlite", 30, 2000); }

TEST(StoreKillTest, PostgresWriter) { KillWriters("postgresql", 12, 800); }

TEST(StoreKillTest, PostgresServerItself) {
  PostgresServer server;
  Acknowledged acknowledged;
  std::mt19937 random(4);
  for (int run = 0; run < 4; ++run) {
    const Writer writer = StartWriter("postgresql", server.connection());
    const int stop_after = 50 + static_cast<int>(random() % 200);
    acknowledged.Read(writer.output, [&](int count) { return count < stop_after; });
    usleep(random() % 3000);
    server.Kill();
    acknowledged.Read(writer.output, [](int) { return true; });
    close(writer.output);
    int status = 0;
    waitpid(writer.pid, &status, 0);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    server.Start();
    const auto store = Store::Open(*OpenPostgres({.connection = server.connection()}));
    ASSERT_TRUE(store.ok()) << store.status();
    ExpectAllThere(**store, acknowledged);
  }
  EXPECT_GE(acknowledged.count, 200);
}

}  // namespace
}  // namespace filo::category
