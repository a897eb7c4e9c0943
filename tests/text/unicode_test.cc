#include "server/text/unicode.h"

#include <gtest/gtest.h>

namespace filo::text {
namespace {

TEST(UnicodeTest, Utf8RoundTripsEveryCodePoint) {
  std::u32string all;
  for (char32_t c = 0; c <= 0x10FFFF; ++c) {
    if (c < 0xD800 || c > 0xDFFF) all.push_back(c);
  }
  const std::string bytes = ToUtf8(all);
  EXPECT_TRUE(IsWellFormedUtf8(bytes));
  EXPECT_TRUE(FromUtf8(bytes) == all);
}

// One U+FFFD per maximal beginning of a sequence, as Python's errors="replace" and the WHATWG decoder give.
TEST(UnicodeTest, IllFormedBytesBecomeReplacementCharacters) {
  EXPECT_EQ(FromUtf8("\x80"), U"\uFFFD");
  EXPECT_EQ(FromUtf8("\xC0\x80"), U"\uFFFD\uFFFD");
  EXPECT_EQ(FromUtf8("\xE2\x82x"), U"\uFFFDx");
  EXPECT_EQ(FromUtf8("\xED\xA0\x80"), U"\uFFFD\uFFFD\uFFFD");
  EXPECT_EQ(FromUtf8("\xF0\x9F\x98"), U"\uFFFD");
  EXPECT_EQ(FromUtf8("\xF4\x90\x80\x80"), U"\uFFFD\uFFFD\uFFFD\uFFFD");
  EXPECT_FALSE(IsWellFormedUtf8("a\xC3"));
}

TEST(UnicodeTest, SurrogatesAndBeyondAreNotWritten) {
  EXPECT_EQ(ToUtf8(std::u32string{0xD800, 0x110000}), "\uFFFD\uFFFD");
}

TEST(UnicodeTest, CaseMappingIsThatOfPython) {
  EXPECT_EQ(Lower(U"ΣΑΣ İ"), U"σας i\u0307");
  EXPECT_EQ(Upper(U"straße"), U"STRASSE");
}

TEST(UnicodeTest, StripTakesEveryKindOfSpace) { EXPECT_EQ(Strip(U"\u00A0\u3000\x1c a b \u2028"), U"a b"); }

}  // namespace
}  // namespace filo::text
