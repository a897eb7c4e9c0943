#include "server/category/catalogue.h"

#include <gtest/gtest.h>
#include <signal.h>

#include <atomic>
#include <thread>

#include "absl/time/clock.h"
#include "fmt/format.h"
#include "tests/category/test_databases.h"

namespace filo::category {
namespace {

Record Nut(const std::string& id = "metal-nut") {
  Record record;
  record.definition.name = id;
  record.definition.class_name = "metal nut";
  return record;
}

// Waits up to `limit` for something another thread does; false when it did not come.
bool Eventually(const std::function<bool()>& condition, absl::Duration limit = absl::Seconds(10)) {
  const absl::Time deadline = absl::Now() + limit;
  while (!condition()) {
    if (absl::Now() > deadline) return false;
    absl::SleepFor(absl::Milliseconds(5));
  }
  return true;
}

absl::Status Touch(Record& record) {
  record.labels["touched"] = "yes";
  return absl::OkStatus();
}

class CatalogueTest : public testing::TestWithParam<std::string> {
 protected:
  CatalogueTest() : database_(MakeTestDatabase(GetParam())) {}

  // A replica: its own connection and memory.
  std::unique_ptr<Catalogue> Replica(Catalogue::Options options = {}) {
    auto store = Store::Open(database_->Open());
    EXPECT_TRUE(store.ok()) << store.status();
    auto catalogue = Catalogue::Start(*std::move(store), std::move(options));
    EXPECT_TRUE(catalogue.ok()) << catalogue.status();
    return *std::move(catalogue);
  }

  std::unique_ptr<TestDatabase> database_;
};

TEST_P(CatalogueTest, OwnWritesAreSeenAtOnce) {
  const auto catalogue = Replica();
  EXPECT_EQ(catalogue->Find("metal-nut"), nullptr);
  ASSERT_TRUE(catalogue->Create(Nut()).ok());
  ASSERT_NE(catalogue->Find("metal-nut"), nullptr);
  const auto before = catalogue->Find("metal-nut");
  ASSERT_TRUE(catalogue->Update("metal-nut", "", Touch).ok());
  EXPECT_EQ(catalogue->Find("metal-nut")->labels.size(), 1u);
  EXPECT_TRUE(before->labels.empty());  // what was handed out stays as it was
  ASSERT_TRUE(catalogue->Delete("metal-nut", "").ok());
  EXPECT_EQ(catalogue->Find("metal-nut"), nullptr);
  EXPECT_EQ(catalogue->size(), 0u);
}

TEST_P(CatalogueTest, AWriteOnOneReplicaIsServedByTheOthersWithinASecond) {
  const auto a = Replica();
  std::atomic<int> noticed = 0;
  Catalogue::Options options;
  options.look_anyway = absl::Seconds(60);  // what is seen was announced
  options.on_change = [&](const std::string&, const Catalogue::RecordPointer&) { ++noticed; };
  const auto b = Replica(options);
  const auto within_a_second = [&](const std::function<bool()>& seen) {
    const absl::Time start = absl::Now();
    ASSERT_TRUE(Eventually(seen));
    EXPECT_LT(absl::Now() - start, absl::Seconds(1));
  };
  ASSERT_TRUE(a->Create(Nut()).ok());
  within_a_second([&] { return b->Find("metal-nut") != nullptr; });
  ASSERT_TRUE(a->Update("metal-nut", "", Touch).ok());
  within_a_second([&] { return !b->Find("metal-nut")->labels.empty(); });
  ASSERT_TRUE(a->Delete("metal-nut", "").ok());
  within_a_second([&] { return b->Find("metal-nut") == nullptr; });
  EXPECT_TRUE(Eventually([&] { return noticed >= 3; }));
}

TEST_P(CatalogueTest, ManyWritesAcrossReplicasEndInTheSameState) {
  const auto a = Replica(), b = Replica();
  std::vector<std::thread> threads;
  for (Catalogue* replica : {a.get(), b.get()}) {
    threads.emplace_back([replica] {
      for (int i = 0; i < 40; ++i) {
        const std::string id = fmt::format("c{}", i % 5);
        if (replica->Create(Nut(id)).ok()) continue;
        if (i % 7 == 0) {
          (void)replica->Delete(id, "");
        } else {
          (void)replica->Update(id, "", [i](Record& r) {
            r.labels["n"] = fmt::format("{}", i);
            return absl::OkStatus();
          });
        }
      }
    });
  }
  for (auto& thread : threads) thread.join();
  const auto c = Replica();
  const auto same = [&](const Catalogue& x) {
    for (int i = 0; i < 5; ++i) {
      const std::string id = fmt::format("c{}", i);
      const auto left = x.Find(id), right = c->Find(id);
      if ((left == nullptr) != (right == nullptr) || (left != nullptr && !(*left == *right))) return false;
    }
    return x.size() == c->size();
  };
  EXPECT_TRUE(Eventually([&] { return same(*a) && same(*b); }));
}

TEST_P(CatalogueTest, PagesListEverythingOnceInOrder) {
  const auto catalogue = Replica();
  for (int i = 0; i < 25; ++i) ASSERT_TRUE(catalogue->Create(Nut(fmt::format("c{:02}", i))).ok());
  std::vector<std::string> ids;
  std::string token;
  int pages = 0;
  do {
    const auto page = catalogue->List(10, token);
    ASSERT_TRUE(page.ok());
    for (const auto& record : page->records) ids.push_back(record->id());
    token = page->next_page_token;
    if (++pages == 1) {
      ASSERT_TRUE(catalogue->Delete("c09", "").ok());  // the token's own category goes
    }
  } while (!token.empty());
  EXPECT_EQ(pages, 3);
  ASSERT_EQ(ids.size(), 25u);
  EXPECT_TRUE(std::is_sorted(ids.begin(), ids.end()));
  EXPECT_EQ(catalogue->List(10, "made up").status().code(), absl::StatusCode::kInvalidArgument);
}

TEST_P(CatalogueTest, CategoriesInUseAreKnownAfterARestart) {
  {
    const auto catalogue = Replica();
    for (const char* id : {"a", "b", "c"}) ASSERT_TRUE(catalogue->Create(Nut(id)).ok());
    EXPECT_NE(catalogue->Find("a"), nullptr);
    EXPECT_NE(catalogue->Find("c"), nullptr);
    EXPECT_EQ(catalogue->Find("unknown"), nullptr);
  }
  const auto catalogue = Replica();
  ASSERT_TRUE(catalogue->Delete("c", "").ok());
  EXPECT_EQ(catalogue->InUse(absl::Hours(1), 10), (std::vector<std::string>{"a"}));
}

TEST_P(CatalogueTest, StoppingDoesNotWait) {
  Catalogue::Options options;
  options.look_anyway = absl::Hours(1);
  auto catalogue = Replica(options);
  const absl::Time start = absl::Now();
  catalogue.reset();
  EXPECT_LT(absl::Now() - start, absl::Seconds(2));
}

INSTANTIATE_TEST_SUITE_P(Sqlite, CatalogueTest, testing::Values("sqlite"));
INSTANTIATE_TEST_SUITE_P(Postgres, CatalogueTest, testing::Values("postgresql"));

// ---- The database is away ------------------------------------------------------------------------

TEST(CatalogueAwayTest, SqliteHeldByAnotherProcessRefusesWritesAndServesReads) {
  TestFolder folder;
  const auto open = [&] {
    return Store::Open(
        *OpenSqlite({.path = folder.path() + "/c.db", .busy_timeout = absl::Milliseconds(50)}));
  };
  const auto catalogue = *Catalogue::Start(*open(), {});
  ASSERT_TRUE(catalogue->Create(Nut()).ok());
  const std::shared_ptr<Store> other = *open();
  ASSERT_TRUE(other->database()
                  .Write([&](SqlConnection&) {
                    EXPECT_EQ(catalogue->Update("metal-nut", "", Touch).status().code(),
                              absl::StatusCode::kUnavailable);
                    EXPECT_NE(catalogue->Find("metal-nut"), nullptr);
                    return absl::OkStatus();
                  })
                  .ok());
  EXPECT_TRUE(catalogue->Update("metal-nut", "", Touch).ok());
}

class PostgresAwayTest : public testing::Test {
 protected:
  std::unique_ptr<Catalogue> Replica() {
    auto store =
        Store::Open(*OpenPostgres({.connection = server_.connection(), .timeout = absl::Milliseconds(700)}));
    EXPECT_TRUE(store.ok()) << store.status();
    Catalogue::Options options;
    options.retry = absl::Milliseconds(100);
    auto catalogue = Catalogue::Start(*std::move(store), options);
    EXPECT_TRUE(catalogue.ok()) << catalogue.status();
    return *std::move(catalogue);
  }

  PostgresServer server_;
};

TEST_F(PostgresAwayTest, KilledServer) {
  const auto a = Replica(), b = Replica();
  ASSERT_TRUE(a->Create(Nut()).ok());
  ASSERT_TRUE(Eventually([&] { return b->Find("metal-nut") != nullptr; }));
  server_.Kill();
  EXPECT_EQ(a->Update("metal-nut", "", Touch).status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(b->Create(Nut("new")).status().code(), absl::StatusCode::kUnavailable);
  EXPECT_NE(a->Find("metal-nut"), nullptr);
  EXPECT_NE(b->Find("metal-nut"), nullptr);
  EXPECT_TRUE(Eventually([&] { return !a->health().ok(); }));
  server_.Start();
  EXPECT_TRUE(Eventually([&] { return a->Update("metal-nut", "", Touch).ok(); }));
  EXPECT_TRUE(Eventually([&] { return !b->Find("metal-nut")->labels.empty(); }));
  EXPECT_TRUE(Eventually([&] { return a->health().ok() && b->health().ok(); }));
  EXPECT_EQ(b->Find("new"), nullptr);
}

TEST_F(PostgresAwayTest, FrozenServerIsGivenUpInTime) {
  const auto catalogue = Replica();
  ASSERT_TRUE(catalogue->Create(Nut()).ok());
  // The postmaster alone: new connections hang, from before the existing ones are cut (its own last), so that
  // a new one is needed and cannot be had.
  server_.Signal(SIGSTOP);
  (void)catalogue->store().database().Read([](SqlConnection& c) {
    return c
        .Run(
            "SELECT pg_terminate_backend(pid) FROM (SELECT pid FROM pg_stat_activity "
            "WHERE usename = 'filo' ORDER BY pid = pg_backend_pid()) AS backends")
        .status();
  });
  const absl::Time start = absl::Now();
  EXPECT_EQ(catalogue->Update("metal-nut", "", Touch).status().code(), absl::StatusCode::kUnavailable);
  EXPECT_LT(absl::Now() - start, absl::Seconds(3));
  EXPECT_NE(catalogue->Find("metal-nut"), nullptr);
  server_.Signal(SIGCONT);
  EXPECT_TRUE(Eventually([&] { return catalogue->Update("metal-nut", "", Touch).ok(); }));
}

TEST_F(PostgresAwayTest, AStartWithoutADatabaseSaysSo) {
  server_.Kill();
  auto database = OpenPostgres({.connection = server_.connection(), .timeout = absl::Seconds(1)});
  EXPECT_EQ(Store::Open(*std::move(database)).status().code(), absl::StatusCode::kUnavailable);
  server_.Start();
  EXPECT_NE(Replica(), nullptr);
}

}  // namespace
}  // namespace filo::category
