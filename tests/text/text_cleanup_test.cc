#include "server/text/text_cleanup.h"

#include <gtest/gtest.h>

#include "tests/text/golden_lines.h"

namespace filo::text {
namespace {

TEST(CleanForClipTest, EqualsTheReferenceOnEveryGoldenString) {
  int changed = 0;
  for (const auto& line : GoldenLines("text/clip_bpe.jsonl")) {
    const std::string text = line["text"];
    EXPECT_EQ(CleanForClip(text), line["cleaned"].get<std::string>()) << text;
    EXPECT_EQ(FixText(text) != text, line["ftfy_changed"].get<bool>()) << text;
    changed += line["ftfy_changed"].get<bool>();
  }
  EXPECT_GE(changed, 25);
}

}  // namespace
}  // namespace filo::text
