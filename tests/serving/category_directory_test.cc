#include "server/serving/category_directory.h"

#include <unistd.h>

#include <fstream>

#include "fmt/format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/serving/errors.h"

namespace filo::serving {
namespace {

using ::testing::HasSubstr;

absl::StatusOr<FixedCategories> ReadText(const std::string& text) {
  const std::string path = fmt::format("{}categories.{}.json", testing::TempDir(), ::getpid());
  std::ofstream(path) << text;
  return FixedCategories::Read(path);
}

TEST(FixedCategoriesTest, ReadsAndFinds) {
  const auto categories =
      ReadText(R"({"metal-nut": {"class_name": "metal nut", "descriptions": ["bent", "scratch"]}})");
  ASSERT_TRUE(categories.ok()) << categories.status();
  const auto found = categories->Find("metal-nut");
  ASSERT_TRUE(found.ok());
  EXPECT_EQ(found->category.class_name, "metal nut");
  EXPECT_THAT(found->category.descriptions, testing::ElementsAre("bent", "scratch"));
  const auto missing = categories->Find("nut");
  EXPECT_EQ(missing.status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(GetReason(missing.status()), "CATEGORY_NOT_FOUND");
}

TEST(FixedCategoriesTest, ErrorsNameThePlace) {
  const auto message = [](const std::string& text) { return std::string(ReadText(text).status().message()); };
  EXPECT_THAT(message("[]"), HasSubstr("JSON object"));
  EXPECT_THAT(message(R"({"Metal": {"class_name": "x"}})"), HasSubstr("a-z"));
  EXPECT_THAT(message(R"({"metal": {}})"), HasSubstr("metal.class_name"));
  EXPECT_THAT(message(R"({"metal": {"class_name": "x", "words": []}})"), HasSubstr("metal.words"));
  EXPECT_THAT(message(R"({"metal": {"class_name": "x", "descriptions": [1]}})"),
              HasSubstr("metal.descriptions"));
  EXPECT_EQ(FixedCategories::Read("/no/such/file").status().code(), absl::StatusCode::kNotFound);
}

TEST(BuiltInCategoriesTest, KnowsThePapersClassesAndYieldsToTheUsersOwn) {
  FixedCategories categories = BuiltInCategories();
  EXPECT_EQ(categories.size(), 27u);
  const auto nut = categories.Find("metal-nut");
  ASSERT_TRUE(nut.ok());
  EXPECT_EQ(nut->category.class_name, "metal nut");
  EXPECT_FALSE(nut->category.descriptions.empty());
  const auto own = ReadText(R"({"metal-nut": {"class_name": "nut"}, "bolt": {"class_name": "bolt"}})");
  ASSERT_TRUE(own.ok());
  categories.Add(*own);
  EXPECT_EQ(categories.size(), 28u);
  EXPECT_EQ(categories.Find("metal-nut")->category.class_name, "nut");
}

TEST(IsCategoryIdTest, Bounds) {
  EXPECT_TRUE(IsCategoryId("a"));
  EXPECT_TRUE(IsCategoryId(std::string(63, 'a')));
  for (const std::string& id :
       {std::string(), std::string(64, 'a'), std::string("1a"), std::string("A"), std::string("a_b"),
        std::string("a/b"), std::string("-a"), std::string("ä")}) {
    EXPECT_FALSE(IsCategoryId(id)) << id;
  }
}

}  // namespace
}  // namespace filo::serving
