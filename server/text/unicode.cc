#include "server/text/unicode.h"

#include <unicode/locid.h>
#include <unicode/normalizer2.h>
#include <unicode/uchar.h>
#include <unicode/unistr.h>
#include <unicode/utf16.h>

#include <cstdint>

namespace filo::text {
namespace {

constexpr char32_t kReplacement = 0xFFFD;

icu::UnicodeString ToIcu(std::u32string_view text) {
  return icu::UnicodeString::fromUTF32(reinterpret_cast<const UChar32*>(text.data()),
                                       static_cast<std::int32_t>(text.size()));
}

std::u32string FromIcu(const icu::UnicodeString& text) {
  std::u32string out;
  out.reserve(static_cast<std::size_t>(text.length()));
  for (std::int32_t i = 0; i < text.length();) {
    const UChar32 c = text.char32At(i);
    out.push_back(static_cast<char32_t>(c));
    i += U16_LENGTH(c);
  }
  return out;
}

std::u32string Normalise(std::u32string_view text, const icu::Normalizer2* (*instance)(UErrorCode&)) {
  UErrorCode error = U_ZERO_ERROR;
  const icu::Normalizer2* normalizer = instance(error);
  if (U_FAILURE(error)) return std::u32string(text);  // ICU's data is missing: nothing better can be done
  const icu::UnicodeString result = normalizer->normalize(ToIcu(text), error);
  return U_FAILURE(error) ? std::u32string(text) : FromIcu(result);
}

int Category(char32_t c) { return u_charType(static_cast<UChar32>(c)); }

// Length of the sequence that starts with `lead`, and the allowed range of its second byte; 0 = no lead byte.
struct Lead {
  int length;
  std::uint8_t low, high;
};

Lead Classify(std::uint8_t lead) {
  if (lead < 0x80) return {1, 0, 0};
  if (lead >= 0xC2 && lead <= 0xDF) return {2, 0x80, 0xBF};
  if (lead == 0xE0) return {3, 0xA0, 0xBF};
  if (lead == 0xED) return {3, 0x80, 0x9F};
  if (lead >= 0xE1 && lead <= 0xEF) return {3, 0x80, 0xBF};
  if (lead == 0xF0) return {4, 0x90, 0xBF};
  if (lead >= 0xF1 && lead <= 0xF3) return {4, 0x80, 0xBF};
  if (lead == 0xF4) return {4, 0x80, 0x8F};
  return {0, 0, 0};
}

// Decodes the sequence at the start of `bytes` (not empty). Returns how many bytes it or its broken beginning
// took.
std::size_t DecodeOne(std::string_view bytes, char32_t& c, bool& well_formed) {
  const auto lead = static_cast<std::uint8_t>(bytes[0]);
  const Lead kind = Classify(lead);
  well_formed = false;
  c = kReplacement;
  if (kind.length == 0) return 1;
  if (kind.length == 1) {
    c = lead;
    well_formed = true;
    return 1;
  }
  char32_t value = lead & (0x7Fu >> kind.length);
  for (int i = 1; i < kind.length; ++i) {
    const auto at = static_cast<std::size_t>(i);
    if (at >= bytes.size()) return at;
    const auto byte = static_cast<std::uint8_t>(bytes[at]);
    const std::uint8_t low = i == 1 ? kind.low : 0x80;
    const std::uint8_t high = i == 1 ? kind.high : 0xBF;
    if (byte < low || byte > high) return at;
    value = (value << 6) | (byte & 0x3Fu);
  }
  c = value;
  well_formed = true;
  return static_cast<std::size_t>(kind.length);
}

}  // namespace

std::u32string FromUtf8(std::string_view utf8) {
  std::u32string out;
  out.reserve(utf8.size());
  while (!utf8.empty()) {
    char32_t c = 0;
    bool well_formed = false;
    utf8.remove_prefix(DecodeOne(utf8, c, well_formed));
    out.push_back(c);
  }
  return out;
}

bool IsWellFormedUtf8(std::string_view utf8) {
  while (!utf8.empty()) {
    char32_t c = 0;
    bool well_formed = false;
    utf8.remove_prefix(DecodeOne(utf8, c, well_formed));
    if (!well_formed) return false;
  }
  return true;
}

std::string ToUtf8(std::u32string_view text) {
  std::string out;
  out.reserve(text.size());
  for (char32_t c : text) {
    if (c > 0x10FFFF || (c >= 0xD800 && c <= 0xDFFF)) c = kReplacement;
    if (c < 0x80) {
      out.push_back(static_cast<char>(c));
      continue;
    }
    const int extra = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
    const unsigned mark = extra == 1 ? 0xC0u : extra == 2 ? 0xE0u : 0xF0u;
    out.push_back(static_cast<char>(mark | (c >> (6 * extra))));
    for (int i = extra - 1; i >= 0; --i) out.push_back(static_cast<char>(0x80u | ((c >> (6 * i)) & 0x3Fu)));
  }
  return out;
}

std::u32string Lower(std::u32string_view text) {
  return FromIcu(ToIcu(text).toLower(icu::Locale::getRoot()));
}
std::u32string Upper(std::u32string_view text) {
  return FromIcu(ToIcu(text).toUpper(icu::Locale::getRoot()));
}

std::u32string NormaliseNfc(std::u32string_view text) {
  return Normalise(text, &icu::Normalizer2::getNFCInstance);
}
std::u32string NormaliseNfd(std::u32string_view text) {
  return Normalise(text, &icu::Normalizer2::getNFDInstance);
}
std::u32string NormaliseNfkc(std::u32string_view text) {
  return Normalise(text, &icu::Normalizer2::getNFKCInstance);
}

bool IsSpace(char32_t c) {
  return (c >= 0x9 && c <= 0xD) || (c >= 0x1C && c <= 0x20) || c == 0x85 || c == 0xA0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F ||
         c == 0x3000;
}

bool IsLetter(char32_t c) { return ((1 << Category(c)) & U_GC_L_MASK) != 0; }

// Number also holds the few letters-as-numerals that Python counts as numeric; digits by Numeric_Type are all
// category N or CJK ideographs (letters), so letters and numbers together are what isalnum() asks for.
bool IsAlnum(char32_t c) { return IsLetter(c) || IsNumber(c); }

bool IsNumber(char32_t c) { return ((1 << Category(c)) & U_GC_N_MASK) != 0; }
bool IsPunctuation(char32_t c) { return ((1 << Category(c)) & static_cast<int>(U_GC_P_MASK)) != 0; }
bool IsNonspacingMark(char32_t c) { return Category(c) == U_NON_SPACING_MARK; }

std::u32string_view Strip(std::u32string_view text) {
  while (!text.empty() && IsSpace(text.front())) text.remove_prefix(1);
  while (!text.empty() && IsSpace(text.back())) text.remove_suffix(1);
  return text;
}

}  // namespace filo::text
