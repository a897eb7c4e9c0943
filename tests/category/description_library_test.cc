#include "server/category/description_library.h"

#include <gtest/gtest.h>

#include <set>

#include "server/category/validation.h"

namespace filo::category {
namespace {

TEST(DescriptionLibraryTest, EveryBenchmarkClassHasItsOwnKind) {
  for (const std::string name :
       {"bottle",    "cable",  "capsule",  "carpet", "grid",       "hazelnut",   "leather",
        "metal nut", "pill",   "screw",    "tile",   "toothbrush", "transistor", "wood",
        "zipper",    "candle", "capsules", "cashew", "chewinggum", "fryum",      "macaroni1",
        "macaroni2", "pcb1",   "pcb2",     "pcb3",   "pcb4",       "pipe fryum"}) {
    const Proposal proposal = ProposeDescriptions(name, "", 12);
    EXPECT_NE(proposal.kinds.front(), "object") << name;
    EXPECT_GE(proposal.descriptions.size(), 7u) << name;
  }
}

TEST(DescriptionLibraryTest, MaterialsAndPluralsAreUnderstood) {
  EXPECT_EQ(ProposeDescriptions("Wine Bottles", "", 3).kinds, ProposeDescriptions("bottle", "", 3).kinds);
  EXPECT_EQ(ProposeDescriptions("thing", "stainless STEEL", 3).kinds, (std::vector<std::string>{"metal"}));
  const Proposal both = ProposeDescriptions("bottle", "glass", 4);
  EXPECT_EQ(both.kinds.size(), 2u);
  EXPECT_EQ(both.descriptions[0], ProposeDescriptions("bottle", "", 1).descriptions[0]);
  EXPECT_EQ(both.descriptions[1], ProposeDescriptions("glass", "", 1).descriptions[0]);
}

TEST(DescriptionLibraryTest, AnythingGetsAnAnswerAndTheLimitHolds) {
  for (const std::string name : {"", "flux compensator", "\xFF\xFE", "漢字"}) {
    EXPECT_EQ(ProposeDescriptions(name, "", 5).kinds, (std::vector<std::string>{"object"})) << name;
    EXPECT_EQ(ProposeDescriptions(name, "", 5).descriptions.size(), 5u);
  }
  EXPECT_TRUE(ProposeDescriptions("bottle", "glass", 0).descriptions.empty());
  const Proposal many = ProposeDescriptions("bottle", "glass metal wood", 1000);
  EXPECT_EQ(std::set<std::string>(many.descriptions.begin(), many.descriptions.end()).size(),
            many.descriptions.size());
}

// What is proposed can be stored as it is.
TEST(DescriptionLibraryTest, EveryTextIsValidLowerCaseAndShort) {
  for (const ProductKind& kind : ProductKinds()) {
    Category category;
    category.class_name = kind.name;
    for (const auto text : kind.descriptions) {
      category.descriptions.emplace_back(text);
      EXPECT_LE(text.size(), 40u) << text;
      for (const char c : text) EXPECT_FALSE(c >= 'A' && c <= 'Z') << text;
    }
    EXPECT_TRUE(ValidateDefinition(category, "x").ok()) << kind.name;
    EXPECT_GE(category.descriptions.size(), 6u) << kind.name;
  }
}

}  // namespace
}  // namespace filo::category
