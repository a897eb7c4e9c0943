#include "server/category/store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <thread>

#include "absl/time/clock.h"
#include "fmt/format.h"
#include "tests/category/test_databases.h"

namespace filo::category {
namespace {

using testing::HasSubstr;

Record Nut(const std::string& id = "metal-nut") {
  Record record;
  record.definition.name = id;
  record.definition.class_name = "metal nut";
  record.definition.descriptions = {"bent", "Ölfleck"};
  record.inspection.score_threshold = 0.1 + 0.2;
  record.labels["line"] = "3";
  return record;
}

// Every test runs on both databases.
class StoreTest : public testing::TestWithParam<std::string> {
 protected:
  StoreTest() : database_(MakeTestDatabase(GetParam())), store_(Open()) {}

  std::shared_ptr<Store> Open() {
    auto store = Store::Open(database_->Open());
    EXPECT_TRUE(store.ok()) << store.status();
    return *std::move(store);
  }

  std::unique_ptr<TestDatabase> database_;
  std::shared_ptr<Store> store_;
};

TEST_P(StoreTest, WhatIsCreatedIsThereForEverybody) {
  const auto created = store_->Create(Nut());
  ASSERT_TRUE(created.ok()) << created.status();
  EXPECT_EQ(created->record->revision, 1);
  EXPECT_FALSE(created->record->etag.empty());
  EXPECT_EQ(created->record->inspection.score_threshold, 0.1 + 0.2);
  const auto other = Open()->Get("metal-nut");
  ASSERT_TRUE(other.ok()) << other.status();
  EXPECT_EQ(*other->record, *created->record);
  EXPECT_EQ(other->sequence, created->sequence);
  EXPECT_EQ(store_->Create(Nut()).status().code(), absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(store_->Get("nothing").status().code(), absl::StatusCode::kNotFound);
}

TEST_P(StoreTest, BadContentsNeverGetIn) {
  Record record = Nut();
  record.definition.class_name = "";
  EXPECT_EQ(store_->Create(record).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(store_->Create(Nut("Bad Id")).status().code(), absl::StatusCode::kInvalidArgument);
  ASSERT_TRUE(store_->Create(Nut()).ok());
  const auto update = store_->Update("metal-nut", "", [](Record& r) {
    r.definition.descriptions = {"\x01"};
    return absl::OkStatus();
  });
  EXPECT_EQ(update.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(store_->Get("metal-nut")->record->revision, 1);
}

TEST_P(StoreTest, AnUpdateChangesOnlyWhatIsTheCallersToChange) {
  const auto created = store_->Create(Nut());
  ASSERT_TRUE(created.ok());
  const auto updated = store_->Update("metal-nut", created->record->etag, [](Record& r) {
    r.definition.descriptions.push_back("rusty");
    r.definition.name = "other";
    r.revision = 99;
    r.etag = "mine";
    r.create_time = absl::UnixEpoch();
    r.references.push_back({});
    r.calibration.emplace();
    return absl::OkStatus();
  });
  ASSERT_TRUE(updated.ok()) << updated.status();
  const Record& r = *updated->record;
  EXPECT_EQ(r.id(), "metal-nut");
  EXPECT_EQ(r.revision, 2);
  EXPECT_NE(r.etag, created->record->etag);
  EXPECT_EQ(r.create_time, created->record->create_time);
  EXPECT_GT(r.update_time, created->record->update_time);
  EXPECT_TRUE(r.references.empty());
  EXPECT_FALSE(r.calibration.has_value());
  EXPECT_EQ(r.definition.descriptions.size(), 3u);
  EXPECT_EQ(*store_->Get("metal-nut")->record, r);
}

TEST_P(StoreTest, AnOldEtagIsRefusedAndTheMessageHelps) {
  const auto created = store_->Create(Nut());
  const auto touch = [](Record& r) {
    r.labels["touched"] = "yes";
    return absl::OkStatus();
  };
  ASSERT_TRUE(store_->Update("metal-nut", "", touch).ok());
  const auto late = store_->Update("metal-nut", created->record->etag, touch);
  EXPECT_EQ(late.status().code(), absl::StatusCode::kAborted);
  EXPECT_THAT(std::string(late.status().message()), HasSubstr("read it again"));
  EXPECT_EQ(store_->Delete("metal-nut", created->record->etag).status().code(), absl::StatusCode::kAborted);
  EXPECT_EQ(store_->Update("nothing", "", touch).status().code(), absl::StatusCode::kNotFound);
}

TEST_P(StoreTest, TheCallersErrorRollsBack) {
  ASSERT_TRUE(store_->Create(Nut()).ok());
  const auto before = store_->ChangesSince(0)->sequence;
  const auto failed = store_->Update("metal-nut", "", [](Record& r) {
    r.labels.clear();
    return absl::FailedPreconditionError("not today");
  });
  EXPECT_EQ(failed.status().message(), "not today");
  EXPECT_EQ(store_->ChangesSince(0)->sequence, before);
  EXPECT_EQ(store_->Get("metal-nut")->record->labels.size(), 1u);
}

TEST_P(StoreTest, ADeletedCategoryIsGoneAndItsRevisionsGoOn) {
  ASSERT_TRUE(store_->Create(Nut()).ok());
  ASSERT_TRUE(
      store_->AddReference("metal-nut", {.id = "r1", .sha256 = "s1", .create_time = {}}, "jpeg").ok());
  ASSERT_TRUE(store_->Delete("metal-nut", "").ok());
  EXPECT_EQ(store_->Get("metal-nut").status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(store_->Delete("metal-nut", "").status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(store_->ReadReference("metal-nut", "r1").status().code(), absl::StatusCode::kNotFound);
  const auto again = store_->Create(Nut());
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(again->record->revision, 4);  // create, reference, delete, create
  EXPECT_TRUE(again->record->references.empty());
}

TEST_P(StoreTest, ChangesComeInOrderAndOncePerCategory) {
  ASSERT_TRUE(store_->Create(Nut("a")).ok());
  ASSERT_TRUE(store_->Create(Nut("b")).ok());
  const auto first = store_->ChangesSince(0);
  ASSERT_TRUE(first.ok());
  EXPECT_TRUE(first->everything);
  ASSERT_EQ(first->changes.size(), 2u);
  EXPECT_EQ(first->changes[0].id, "a");
  EXPECT_TRUE(store_->ChangesSince(first->sequence)->changes.empty());
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(store_
                    ->Update("a", "",
                             [&](Record& r) {
                               r.labels["n"] = fmt::format("{}", i);
                               return absl::OkStatus();
                             })
                    .ok());
  }
  ASSERT_TRUE(store_->Delete("b", "").ok());
  const auto next = store_->ChangesSince(first->sequence);
  ASSERT_TRUE(next.ok());
  EXPECT_FALSE(next->everything);
  ASSERT_EQ(next->changes.size(), 2u);
  EXPECT_EQ(next->changes[0].record->labels.at("n"), "2");
  EXPECT_EQ(next->changes[1].id, "b");
  EXPECT_FALSE(next->changes[1].record.has_value());
  // Somebody knows of later writes than there are: an old copy of the database was put back.
  EXPECT_TRUE(store_->ChangesSince(next->sequence + 5)->everything);
}

TEST_P(StoreTest, ReferencesKeepTheirBytes) {
  ASSERT_TRUE(store_->Create(Nut()).ok());
  std::string bytes(3 << 20, '\0');
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>(i * 31 >> 3);
  const Reference reference{.id = "r1", .sha256 = "s1", .width = 640, .height = 480, .create_time = {}};
  const auto added = store_->AddReference("metal-nut", reference, bytes);
  ASSERT_TRUE(added.ok()) << added.status();
  ASSERT_EQ(added->record->references.size(), 1u);
  EXPECT_EQ(added->record->references[0].width, 640);
  EXPECT_EQ(added->record->references[0].create_time, added->record->update_time);
  EXPECT_EQ(*Open()->ReadReference("metal-nut", "r1"), bytes);
  Reference same = reference;
  same.id = "r2";
  EXPECT_EQ(store_->AddReference("metal-nut", same, bytes).status().code(), absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(store_->AddReference("metal-nut", same, "").status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(store_->AddReference("none", reference, "x").status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(store_->RemoveReference("metal-nut", "r9").status().code(), absl::StatusCode::kNotFound);
  ASSERT_TRUE(store_->RemoveReference("metal-nut", "r1").ok());
  EXPECT_EQ(store_->ReadReference("metal-nut", "r1").status().code(), absl::StatusCode::kNotFound);
}

TEST_P(StoreTest, ACalibrationReplacesTheLastAndItsBaseline) {
  const auto created = store_->Create(Nut());
  Calibration calibration;
  calibration.id = "c1";
  calibration.baseline_id = "b1";
  calibration.definition_digest = DefinitionDigest(created->record->definition);
  ASSERT_TRUE(store_->SetCalibration("metal-nut", calibration, "map one").ok());
  EXPECT_EQ(*store_->ReadBaseline("metal-nut", "b1"), "map one");
  calibration.id = "c2";
  calibration.baseline_id = "b2";
  const auto second = store_->SetCalibration("metal-nut", calibration, "map two");
  ASSERT_TRUE(second.ok()) << second.status();
  EXPECT_EQ(second->record->calibration->id, "c2");
  EXPECT_EQ(*store_->ReadBaseline("metal-nut", "b2"), "map two");
  EXPECT_EQ(store_->ReadBaseline("metal-nut", "b1").status().code(), absl::StatusCode::kNotFound);
  calibration.definition_digest = "of other texts";
  EXPECT_EQ(store_->SetCalibration("metal-nut", calibration, "").status().code(), absl::StatusCode::kAborted);
}

TEST_P(StoreTest, FeedbackIsKeptInOrderAndTheLastWordCounts) {
  Feedback feedback{.result_id = "01A",
                    .category_id = "nut",
                    .defective = true,
                    .note = "wirklich Öl\n\"x\"",
                    .score = 0.1 + 0.2,
                    .map_max = 0.5,
                    .map_median = 0.25,
                    .bundle_digest = "d",
                    .definition_digest = "e",
                    .settings_digest = "f",
                    .time = absl::FromUnixSeconds(10)};
  ASSERT_TRUE(store_->AddFeedback(feedback).ok());
  Feedback later = feedback;
  later.result_id = "01B";
  later.time = absl::FromUnixSeconds(5);
  ASSERT_TRUE(store_->AddFeedback(later).ok());
  auto all = store_->FeedbackOf("nut", 10);
  ASSERT_TRUE(all.ok()) << all.status();
  EXPECT_EQ(*all, (std::vector<Feedback>{later, feedback}));
  feedback.defective = false;
  ASSERT_TRUE(store_->AddFeedback(feedback).ok());
  all = store_->FeedbackOf("nut", 1);
  ASSERT_EQ(all->size(), 1u);
  EXPECT_FALSE((*all)[0].defective);
}

TEST_P(StoreTest, UseIsRemembered) {
  const absl::Time now = absl::FromUnixSeconds(1000);
  ASSERT_TRUE(store_->MarkUsed({"a", "b"}, now).ok());
  ASSERT_TRUE(store_->MarkUsed({"b", "c"}, now + absl::Seconds(5)).ok());
  EXPECT_EQ(*store_->UsedSince(now, 10), (std::vector<std::string>{"b", "c", "a"}));
  EXPECT_EQ(*store_->UsedSince(now + absl::Seconds(1), 1), (std::vector<std::string>{"b"}));
}

TEST_P(StoreTest, TheAuditTrailIsAllOrNoneAndTwiceIsOnce) {
  const absl::Time now = absl::FromUnixSeconds(1000);
  ASSERT_TRUE(store_->AppendAudit({{"r1", now, "{\"a\":1}"}, {"r2", now + absl::Seconds(1), "{}"}}).ok());
  ASSERT_TRUE(store_->AppendAudit({{"r2", now, "{\"other\":1}"}, {"r3", now + absl::Seconds(9), "{}"}}).ok());
  EXPECT_EQ(*store_->FindAudit("r1"), "{\"a\":1}");
  EXPECT_EQ(*store_->FindAudit("r2"), "{}");
  EXPECT_EQ(store_->FindAudit("r9").status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(*store_->DropAuditBefore(now + absl::Seconds(5)), 2);
  EXPECT_TRUE(store_->FindAudit("r3").ok());
}

// Several replicas count in one label: no update is lost, and no two writes have one number.
TEST_P(StoreTest, WritersOnManyReplicasLoseNothing) {
  ASSERT_TRUE(store_->Create(Nut()).ok());
  constexpr int kReplicas = 4, kWrites = 25;
  std::vector<std::thread> threads;
  std::mutex mutex;
  std::set<std::int64_t> sequences;
  for (int replica = 0; replica < kReplicas; ++replica) {
    threads.emplace_back([&] {
      const auto store = Open();
      for (int i = 0; i < kWrites;) {
        const auto written = store->Update("metal-nut", "", [](Record& r) {
          r.labels["count"] = fmt::format("{}", std::atoi(r.labels["count"].c_str()) + 1);
          return absl::OkStatus();
        });
        if (absl::IsUnavailable(written.status())) continue;  // SQLite: another process was writing for long
        ASSERT_TRUE(written.ok()) << written.status();
        const std::lock_guard lock(mutex);
        EXPECT_TRUE(sequences.insert(written->sequence).second);
        ++i;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  const auto record = store_->Get("metal-nut");
  EXPECT_EQ(record->record->labels.at("count"), fmt::format("{}", kReplicas * kWrites));
  EXPECT_EQ(record->record->revision, kReplicas * kWrites + 1);
}

TEST_P(StoreTest, ServersThatStartTogetherMigrateOnce) {
  const auto fresh = MakeTestDatabase(GetParam());
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] { EXPECT_TRUE(Store::Open(fresh->Open()).ok()); });
  }
  for (auto& thread : threads) thread.join();
}

TEST_P(StoreTest, TablesOfANewerServerAreLeftAlone) {
  ASSERT_TRUE(store_->database()
                  .Write([](SqlConnection& c) {
                    return c.Run("INSERT INTO filo_schema (version) VALUES (99)").status();
                  })
                  .ok());
  const auto status = Store::Open(database_->Open()).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()), HasSubstr("version 99"));
}

TEST_P(StoreTest, DamagedRecordsAreDataLossNamingTheCategory) {
  ASSERT_TRUE(store_->Create(Nut()).ok());
  ASSERT_TRUE(
      store_->database()
          .Write([](SqlConnection& c) { return c.Run("UPDATE filo_category SET body = '{}'").status(); })
          .ok());
  EXPECT_EQ(store_->Get("metal-nut").status().code(), absl::StatusCode::kDataLoss);
  const auto changes = store_->ChangesSince(0).status();
  EXPECT_EQ(changes.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(changes.message()), HasSubstr("metal-nut"));
}

TEST_P(StoreTest, AStatementThatFailsSpoilsItsWholeTransaction) {
  const auto status = store_->database().Write([](SqlConnection& c) -> absl::Status {
    EXPECT_TRUE(c.Run("INSERT INTO filo_use (category, time) VALUES ('x', 1)").ok());
    return c.Run("INSERT INTO filo_use (category, time) VALUES ('x', 2)").status();
  });
  EXPECT_EQ(status.code(), absl::StatusCode::kAlreadyExists);
  EXPECT_TRUE(store_->UsedSince(absl::UnixEpoch(), 10)->empty());
  EXPECT_EQ(store_->database().Read([](SqlConnection& c) { return c.Run("nonsense").status(); }).code(),
            absl::StatusCode::kInternal);
  EXPECT_TRUE(store_->Create(Nut()).ok());  // and the connection is usable
}

INSTANTIATE_TEST_SUITE_P(Sqlite, StoreTest, testing::Values("sqlite"));
INSTANTIATE_TEST_SUITE_P(Postgres, StoreTest, testing::Values("postgresql"));

TEST(SqliteTest, PlacesThatAreNoDatabase) {
  EXPECT_EQ(OpenSqlite({.path = "/nonexistent/x.db"}).status().code(), absl::StatusCode::kNotFound);
  TestFolder folder;
  const std::string path = folder.path() + "/x.db";
  FILE* file = fopen(path.c_str(), "w");
  for (int i = 0; i < 1000; ++i) fputs("this is no database ", file);
  fclose(file);
  const auto database = OpenSqlite({.path = path});
  EXPECT_EQ(database.status().code(), absl::StatusCode::kDataLoss) << database.status();
}

TEST(PostgresTest, AnUnreadableConnectionStringIsNotShown) {
  const auto status = OpenPostgres({.connection = "postgresql://user:secret@[broken"}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(status.message().find("secret"), std::string::npos);
}

TEST(PostgresTest, NoServerIsUnavailable) {
  auto database = OpenPostgres({.connection = "host=/nonexistent dbname=x", .timeout = absl::Seconds(1)});
  ASSERT_TRUE(database.ok());
  EXPECT_EQ(Store::Open(*std::move(database)).status().code(), absl::StatusCode::kUnavailable);
}

}  // namespace
}  // namespace filo::category
