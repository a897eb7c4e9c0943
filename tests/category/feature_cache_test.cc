#include "server/category/feature_cache.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <thread>
#include <vector>

#include "fmt/format.h"
#include "server/base/file.h"

namespace filo::category {
namespace {

using Text = std::shared_ptr<const std::string>;
using Cache = FeatureCache<std::string>;

FeatureKey Key(const std::string& name) { return {"bundle", "paper", name, ""}; }

Cache Make(FeatureCacheOptions options) {
  return Cache(
      std::move(options), [](const std::string& v) { return v.size(); },
      [](const std::string& v) { return v; },
      [](std::string_view v) -> absl::StatusOr<Text> { return std::make_shared<const std::string>(v); });
}

std::function<absl::StatusOr<Text>()> Value(const std::string& value) {
  return [value]() -> absl::StatusOr<Text> { return std::make_shared<const std::string>(value); };
}

std::function<absl::StatusOr<Text>()> Never() {
  return []() -> absl::StatusOr<Text> { return absl::InternalError("must not be computed"); };
}

class FeatureCacheTest : public testing::Test {
 protected:
  FeatureCacheTest()
      : directory_(
            std::filesystem::path(testing::TempDir()) /
            fmt::format("feature_cache_{}", testing::UnitTest::GetInstance()->current_test_info()->name())) {
    std::filesystem::remove_all(directory_);
  }
  ~FeatureCacheTest() override { std::filesystem::remove_all(directory_); }

  std::filesystem::path directory_;
};

TEST_F(FeatureCacheTest, ComputesOnceThenServesFromMemory) {
  Cache cache = Make({});
  EXPECT_EQ(**cache.Get(Key("a"), Value("1")), "1");
  EXPECT_EQ(**cache.Get(Key("a"), Never()), "1");
  FeatureKey other = Key("a");
  other.profile = "released";
  EXPECT_EQ(**cache.Get(other, Value("2")), "2");
  const FeatureCacheStats stats = cache.Stats();
  EXPECT_EQ(stats.hits, 1u);
  EXPECT_EQ(stats.misses, 2u);
  EXPECT_EQ(stats.entries, 2u);
}

TEST_F(FeatureCacheTest, ManyAskersOneComputation) {
  Cache cache = Make({});
  std::atomic<int> computed = 0, right = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 16; ++i) {
    threads.emplace_back([&] {
      const auto value = cache.Get(Key("a"), [&]() -> absl::StatusOr<Text> {
        ++computed;
        std::this_thread::sleep_for(std::chrono::milliseconds(50));
        return std::make_shared<const std::string>("x");
      });
      right += value.ok() && **value == "x";
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(computed, 1);
  EXPECT_EQ(right, 16);
  EXPECT_EQ(cache.Stats().hits, 15u);
}

TEST_F(FeatureCacheTest, AnErrorReachesAllWhoWaitAndIsNotKept) {
  Cache cache = Make({});
  std::atomic<int> failed = 0;
  std::atomic<bool> started = false, release = false;
  std::thread leader([&] {
    failed += !cache
                   .Get(Key("a"),
                        [&]() -> absl::StatusOr<Text> {
                          started = true;
                          while (!release) std::this_thread::yield();
                          return absl::InvalidArgumentError("too long");
                        })
                   .ok();
  });
  while (!started) std::this_thread::yield();
  std::atomic<bool> waiting = false;
  std::thread follower([&] {
    failed += !cache
                   .Get(Key("a"), Never(),
                        [&] {
                          waiting = true;
                          return absl::OkStatus();
                        })
                   .ok();
  });
  while (!waiting) std::this_thread::yield();  // it was asked once whether to go on waiting
  release = true;
  leader.join();
  follower.join();
  EXPECT_EQ(failed, 2);
  EXPECT_EQ(**cache.Get(Key("a"), Value("now")), "now");
}

// Somebody else's deadline is not ours: the one who waited computes.
TEST_F(FeatureCacheTest, AfterACancelledComputationTheNextOneComputes) {
  Cache cache = Make({});
  std::atomic<bool> started = false, release = false, waiting = false;
  std::thread leader([&] {
    const auto value = cache.Get(Key("a"), [&]() -> absl::StatusOr<Text> {
      started = true;
      while (!release) std::this_thread::yield();
      return absl::CancelledError("the client went away");
    });
    EXPECT_EQ(value.status().code(), absl::StatusCode::kCancelled);
  });
  while (!started) std::this_thread::yield();
  std::thread follower([&] {
    const auto value = cache.Get(Key("a"), Value("mine"), [&] {
      waiting = true;
      return absl::OkStatus();
    });
    ASSERT_TRUE(value.ok());
    EXPECT_EQ(**value, "mine");
  });
  while (!waiting) std::this_thread::yield();
  release = true;
  leader.join();
  follower.join();
}

TEST_F(FeatureCacheTest, AWaiterMayGiveUp) {
  Cache cache = Make({});
  std::atomic<bool> started = false, release = false;
  std::thread leader([&] {
    EXPECT_TRUE(cache
                    .Get(Key("a"),
                         [&]() -> absl::StatusOr<Text> {
                           started = true;
                           while (!release) std::this_thread::yield();
                           return std::make_shared<const std::string>("x");
                         })
                    .ok());
  });
  while (!started) std::this_thread::yield();
  EXPECT_EQ(cache.Get(Key("a"), Never(), [] { return absl::DeadlineExceededError("late"); }).status().code(),
            absl::StatusCode::kDeadlineExceeded);
  release = true;
  leader.join();
}

TEST_F(FeatureCacheTest, TheLeastRecentlyUsedGoesFirstAndTheBoundHolds) {
  Cache cache = Make({.max_bytes = 35000});
  const std::string ten(10000, 'x');
  for (const char* name : {"a", "b", "c"}) ASSERT_TRUE(cache.Get(Key(name), Value(ten)).ok());
  ASSERT_TRUE(cache.Get(Key("a"), Never()).ok());  // now b is the oldest
  ASSERT_TRUE(cache.Get(Key("d"), Value(ten)).ok());
  EXPECT_LE(cache.Stats().bytes, 35000u);
  EXPECT_EQ(cache.Stats().entries, 3u);
  EXPECT_EQ(cache.Stats().evictions, 1u);
  EXPECT_TRUE(cache.Get(Key("a"), Never()).ok());
  EXPECT_TRUE(cache.Get(Key("c"), Never()).ok());
  EXPECT_FALSE(cache.Get(Key("b"), Never()).ok());
  // Larger than all the room: handed out, not kept, and nothing else is thrown out for it.
  EXPECT_TRUE(cache.Get(Key("huge"), Value(std::string(50000, 'x'))).ok());
  EXPECT_EQ(cache.Stats().entries, 3u);
}

TEST_F(FeatureCacheTest, SurvivesARestart) {
  const FeatureCacheOptions options{.directory = directory_.string()};
  {
    Cache cache = Make(options);
    ASSERT_TRUE(cache.Get(Key("a"), Value(std::string("with \0 zero", 11))).ok());
  }
  Cache cache = Make(options);
  EXPECT_EQ(**cache.Get(Key("a"), Never()), std::string("with \0 zero", 11));
  EXPECT_EQ(cache.Stats().disk_hits, 1u);
  EXPECT_EQ(cache.Stats().misses, 0u);
}

TEST_F(FeatureCacheTest, ADamagedFileIsComputedAnew) {
  const FeatureCacheOptions options{.directory = directory_.string()};
  ASSERT_TRUE(Make(options).Get(Key("a"), Value("payload")).ok());
  const std::string path = std::filesystem::directory_iterator(directory_)->path().string();
  const std::string good = *ReadFile(path, 1 << 20);
  for (std::size_t at = 0; at < good.size(); at += 3) {  // all parts of the file: magic, digest, key, payload
    std::string bad = good;
    bad[at] = static_cast<char>(bad[at] ^ 1);
    std::ofstream(path, std::ios::binary) << bad;
    Cache cache = Make(options);
    EXPECT_EQ(**cache.Get(Key("a"), Value("anew")), "anew") << at;
    EXPECT_EQ(cache.Stats().disk_errors, 1u);
  }
  std::ofstream(path, std::ios::binary) << good.substr(0, 5);
  EXPECT_EQ(**Make(options).Get(Key("a"), Value("anew")), "anew");
}

TEST_F(FeatureCacheTest, TheDiskIsBounded) {
  const FeatureCacheOptions options{.directory = directory_.string(), .max_disk_bytes = 3500};
  {
    Cache cache = Make(options);
    for (const char* name : {"a", "b", "c", "d", "e"})
      ASSERT_TRUE(cache.Get(Key(name), Value(std::string(1000, 'x'))).ok());
    EXPECT_LE(cache.Stats().disk_bytes, 3500u);
  }
  std::uint64_t bytes = 0;
  for (const auto& file : std::filesystem::directory_iterator(directory_)) bytes += file.file_size();
  EXPECT_LE(bytes, 3500u);
  Cache cache = Make(options);
  EXPECT_EQ(cache.Stats().disk_bytes, bytes);
  EXPECT_TRUE(cache.Get(Key("e"), Never()).ok());
  EXPECT_FALSE(cache.Get(Key("a"), Never()).ok());
}

TEST_F(FeatureCacheTest, AnUnusableDirectoryOnlyCostsPersistence) {
  std::ofstream(directory_.string()) << "a file where a directory should be";
  Cache cache = Make({.directory = directory_.string()});
  EXPECT_TRUE(cache.Get(Key("a"), Value("1")).ok());
  EXPECT_TRUE(cache.Get(Key("a"), Never()).ok());
  EXPECT_GE(cache.Stats().disk_errors, 1u);
}

TEST_F(FeatureCacheTest, ForgetDropsWhatMatches) {
  Cache cache = Make({});
  ASSERT_TRUE(cache.Get(Key("a"), Value("1")).ok());
  ASSERT_TRUE(cache.Get(Key("b"), Value("2")).ok());
  cache.Forget([](const FeatureKey& key) { return key.definition_digest == "a"; });
  EXPECT_FALSE(cache.Get(Key("a"), Never()).ok());
  EXPECT_TRUE(cache.Get(Key("b"), Never()).ok());
}

TEST_F(FeatureCacheTest, ManyThreadsManyKeysUnderPressure) {
  Cache cache = Make({.max_bytes = 20000, .directory = directory_.string(), .max_disk_bytes = 20000});
  std::vector<std::thread> threads;
  std::atomic<int> wrong = 0;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 100; ++i) {
        const std::string name = fmt::format("{}", (i * 7 + t * 3) % 40);
        const auto value = cache.Get(Key(name), Value(name + std::string(900, 'x')));
        wrong += !value.ok() || (*value)->substr(0, name.size()) != name;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_LE(cache.Stats().bytes, 20000u);
}

}  // namespace
}  // namespace filo::category
