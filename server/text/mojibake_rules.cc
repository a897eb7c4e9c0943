#include <algorithm>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "server/text/mojibake.h"
#include "server/text/mojibake_ranges.h"
#include "server/text/unicode.h"

namespace filo::text {
namespace {

#include "server/text/mojibake_kinds.inc"

// Kinds of character, as bits.
enum Kind : std::uint32_t {
  kCommon = 1u << 0,
  kC1 = 1u << 1,
  kBad = 1u << 2,
  kLaw = 1u << 3,
  kCurrency = 1u << 4,
  kStart = 1u << 5,  // opening punctuation
  kEnd = 1u << 6,    // closing punctuation
  kNumeric = 1u << 7,
  kKaomoji = 1u << 8,
  kUpperAccented = 1u << 9,
  kLowerAccented = 1u << 10,
  kUpperCommon = 1u << 11,
  kLowerCommon = 1u << 12,
  kBox = 1u << 13,
  kLatinLower = 1u << 14,  // a-z
  kLatin = 1u << 15,       // a-z A-Z
  kSpace = 1u << 16,
  kWord = 1u << 17,  // letters, digits, "_"
  kNotLatin = 1u << 18,
  kNotNewline = 1u << 19,
  kBegin = 1u << 20,  // not a character: the beginning of the text
};

constexpr std::uint32_t kAccented = kUpperAccented | kLowerAccented;

std::uint32_t KindsOf(char32_t c) {
  std::uint32_t kinds = c == U'\n' ? 0u : static_cast<std::uint32_t>(kNotNewline);
  const bool lower = c >= U'a' && c <= U'z';
  const bool latin = lower || (c >= U'A' && c <= U'Z');
  kinds |= (lower ? kLatinLower : 0u) | (latin ? kLatin : kNotLatin);
  if (IsSpace(c)) kinds |= kSpace;
  if (c == U'_' || IsAlnum(c)) kinds |= kWord;
  if (c < 0x80) return kinds;
  const auto add = [&](std::span<const Range> ranges, Kind kind) {
    if (In(ranges, c)) kinds |= kind;
  };
  add(kCommonRanges, kCommon);
  add(kC1Ranges, kC1);
  add(kBadRanges, kBad);
  add(kLawRanges, kLaw);
  add(kCurrencyRanges, kCurrency);
  add(kStartPunctuationRanges, kStart);
  add(kEndPunctuationRanges, kEnd);
  add(kNumericRanges, kNumeric);
  add(kKaomojiRanges, kKaomoji);
  add(kUpperAccentedRanges, kUpperAccented);
  add(kLowerAccentedRanges, kLowerAccented);
  add(kUpperCommonRanges, kUpperCommon);
  add(kLowerCommonRanges, kLowerCommon);
  add(kBoxRanges, kBox);
  return kinds;
}

// One place of a rule: a character of these kinds or one of these characters.
struct Place {
  std::uint32_t kinds = 0;
  std::u32string_view characters = {};
};

using Rule = std::vector<Place>;

// Neighbours that betray a mix-up. General ones by kind first, then particular ones of one encoding.
const std::vector<Rule>& Rules() {
  static const std::vector<Rule>* const rules = new std::vector<Rule>{
      {{kC1}},
      {{kBad | kAccented | kBox | kStart | kEnd | kCurrency | kNumeric | kLaw}, {kBad}},
      {{kLatin}, {kLowerCommon | kUpperCommon}, {kBad}},
      {{kBad}, {kAccented | kBox | kStart | kEnd | kCurrency | kNumeric | kLaw}},
      {{kLowerAccented | kLowerCommon | kBox | kEnd | kCurrency | kNumeric}, {kUpperAccented}},
      {{kBox | kEnd | kCurrency | kNumeric}, {kLowerAccented}},
      {{kLowerAccented | kBox | kEnd}, {kCurrency}},
      {{kSpace}, {kUpperAccented}, {kCurrency}},
      {{kUpperAccented | kBox}, {kNumeric | kLaw}},
      {{kAccented | kBox | kCurrency | kEnd}, {kStart}, {kNumeric}},
      {{kAccented | kCurrency | kNumeric | kBox | kLaw}, {kEnd}, {kStart}},
      {{kCurrency | kNumeric | kBox}, {kStart}},
      {{kLatinLower}, {kUpperAccented}, {kStart | kCurrency}},
      {{kBox}, {kKaomoji}},
      {{kAccented | kCurrency | kNumeric | kStart | kEnd | kLaw}, {kBox}},
      {{kBox}, {kEnd}},
      {{kAccented}, {kStart | kEnd}, {kWord}},
      // The ligature oe is followed by a plain letter in every language that has it.
      {{0, U"Œœ"}, {kNotLatin}},
      {{kUpperAccented}, {0, U"°"}},
      // Windows-1252.
      {{0, U"ÂÃÎÐ"}, {kStart | kEnd, U"€œŠš¢£Ÿž\u00A0\u00AD®©°·»–—´"}},
      {{0, U"×"}, {0, U"²³"}},
      // Arabic in Windows-1252: common characters take part, so two pairs are asked for.
      {{0, U"ØÙ"},
       {kCommon | kCurrency | kBad | kNumeric | kStart, U"ŸŠ®°µ»"},
       {0, U"ØÙ"},
       {kCommon | kCurrency | kBad | kNumeric | kStart, U"ŸŠ®°µ»"}},
      // South Asian scripts in Windows-1252.
      {{0, U"à"}, {0, U"²µ¹¼½¾"}},
      // MacRoman.
      {{0, U"√"}, {0, U"±∂†≠®™´≤≥¥µø"}},
      {{0, U"≈"}, {0, U"°¢"}},
      {{0, U"‚"}, {0, U"Ä"}, {0, U"ìîïòôúùû†°¢π"}},
      {{0, U"‚"}, {0, U"âó"}, {0, U"àä°ê"}},
      // Windows-1251.
      {{0, U"в"}, {0, U"Ђ"}},
      {{0, U"ВГРС"}, {kC1 | kBad | kStart | kEnd | kCurrency, U"°µ"}, {0, U"ВГРС"}},
      {{0, U"Г"}, {0, U"ў"}, {0, U"В"}, {0, U"Ђ"}, {0, U"В"}, {kNotNewline}, {kLatin, U" "}},
      // à, á and the no-break space in Windows-1252.
      {{0, U"Ã"}, {0, U"\u00A0¡"}},
      {{kLatinLower}, {0, U"ÃÂ"}, {0, U" "}},
      {{kLatinLower}, {kSpace}, {0, U"ÃÂ"}, {0, U" "}},
      {{kBegin}, {0, U"ÃÂ"}, {0, U" "}},
      // Â before a character stands for that very character.
      {{kLatinLower | kEnd, U".,?!"}, {0, U"Â"}, {kStart | kEnd, U" "}},
      // Windows-1253 and -1257.
      {{0, U"β"}, {0, U"€"}, {0, U"™\u00A0Ά\u00AD®°"}},
      {{0, U"ΒΓΞΟ"}, {kC1 | kBad | kStart | kEnd | kCurrency, U"°"}, {0, U"ΒΓΞΟ"}},
      {{0, U"ā"}, {0, U"€"}},
  };
  return *rules;
}

bool MatchesAt(const Rule& rule, std::u32string_view text, std::span<const std::uint32_t> kinds,
               std::size_t at) {
  for (const Place& place : rule) {
    if (place.kinds == kBegin) {
      if (at != 0) return false;
      continue;
    }
    if (at >= text.size()) return false;
    if ((kinds[at] & place.kinds) == 0 && place.characters.find(text[at]) == std::u32string_view::npos)
      return false;
    ++at;
  }
  return true;
}

}  // namespace

bool LooksLikeMojibake(std::u32string_view text) {
  std::vector<std::uint32_t> kinds(text.size());
  std::transform(text.begin(), text.end(), kinds.begin(), KindsOf);
  for (std::size_t at = 0; at < text.size(); ++at) {
    for (const Rule& rule : Rules()) {
      if (MatchesAt(rule, text, kinds, at)) return true;
    }
  }
  return false;
}

}  // namespace filo::text
