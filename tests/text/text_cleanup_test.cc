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

// Random mixtures of scripts, entities, control characters and text read in up to two wrong encodings; the
// results are those of ftfy 6.3.1 and Python 3.11.
TEST(FixTextTest, EqualsFtfyOnRandomGarble) {
  for (const auto& line : GoldenLines("../data/text/ftfy_cases.jsonl")) {
    const std::string text = line["text"];
    EXPECT_EQ(FixText(text), line["fixed"].get<std::string>()) << text;
    EXPECT_EQ(CleanForClip(text), line["cleaned"].get<std::string>()) << text;
    EXPECT_EQ(UnescapeHtml(text), line["unescaped"].get<std::string>()) << text;
  }
}

TEST(FixTextTest, AReferenceIsKeptWhereTheLineMayBeHtml) {
  EXPECT_EQ(FixText("a &amp; b\n<p> &amp;\n&amp;"), "a & b\n<p> &amp;\n&amp;");
}

TEST(UnescapeHtmlTest, NumbersOutOfRangeAreReplaced) {
  EXPECT_EQ(UnescapeHtml("&#0;&#xD800;&#x110000;&#99999999999999999999;&#x80;&#1;."),
            "\uFFFD\uFFFD\uFFFD\uFFFD\u20AC.");
  EXPECT_EQ(UnescapeHtml("& &; &#; &#x; &nosuch; &notit;"), "& &; &#; &#x; &nosuch; \u00ACit;");
}

}  // namespace
}  // namespace filo::text
