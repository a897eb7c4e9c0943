#include "server/detection/lru_cache.h"

#include "gtest/gtest.h"

namespace filo::detection {
namespace {

std::shared_ptr<const int> Number(int value) { return std::make_shared<const int>(value); }

TEST(LruCache, ForgetsWhatWasUsedLongestAgo) {
  LruCache<int> cache(10);
  cache.Put("a", Number(1), 4);
  cache.Put("b", Number(2), 4);
  ASSERT_NE(cache.Get("a"), nullptr);  // now b is the oldest
  cache.Put("c", Number(3), 4);
  EXPECT_EQ(cache.Get("b"), nullptr);
  EXPECT_EQ(*cache.Get("a"), 1);
  EXPECT_EQ(*cache.Get("c"), 3);
  EXPECT_EQ(cache.used(), 8);
}

TEST(LruCache, ReplacingCountsOnce) {
  LruCache<int> cache(10);
  cache.Put("a", Number(1), 6);
  cache.Put("a", Number(2), 9);
  EXPECT_EQ(*cache.Get("a"), 2);
  EXPECT_EQ(cache.used(), 9);
}

TEST(LruCache, WhatIsTooLargeIsNotKeptAndPushesNothingOut) {
  LruCache<int> cache(10);
  cache.Put("a", Number(1), 5);
  cache.Put("b", Number(2), 11);
  EXPECT_EQ(cache.Get("b"), nullptr);
  EXPECT_EQ(*cache.Get("a"), 1);
}

TEST(LruCache, AnEntryInUseOutlivesItsPlace) {
  LruCache<int> cache(1);
  cache.Put("a", Number(7), 1);
  const auto held = cache.Get("a");
  cache.Put("b", Number(8), 1);
  EXPECT_EQ(*held, 7);
}

}  // namespace
}  // namespace filo::detection
