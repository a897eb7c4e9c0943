// Unicode operations with the exact meaning that Python gives them, which is what the published tokenizers
// were written in. UTF-8 outside, one char32_t per code point inside. Pure functions, thread-safe.
#pragma once

#include <string>
#include <string_view>

namespace filo::text {

// Ill-formed sequences, encoded surrogates included, become U+FFFD (one per maximal subpart, as Python's
// errors="replace"). Never fails.
std::u32string FromUtf8(std::string_view utf8);
// Surrogates and values beyond U+10FFFF become U+FFFD.
std::string ToUtf8(std::u32string_view text);
bool IsWellFormedUtf8(std::string_view utf8);

// str.lower(): full mapping, locale-free, final sigma included.
std::u32string Lower(std::u32string_view text);
// str.upper() with the full mapping (ß -> SS).
std::u32string Upper(std::u32string_view text);
std::u32string NormaliseNfc(std::u32string_view text);
std::u32string NormaliseNfd(std::u32string_view text);
std::u32string NormaliseNfkc(std::u32string_view text);

bool IsSpace(char32_t c);           // str.isspace(): \s of Python's re
bool IsAlnum(char32_t c);           // str.isalnum()
bool IsLetter(char32_t c);          // general category L*
bool IsNumber(char32_t c);          // general category N*
bool IsPunctuation(char32_t c);     // general category P*
bool IsNonspacingMark(char32_t c);  // general category Mn

// str.strip().
std::u32string_view Strip(std::u32string_view text);

}  // namespace filo::text
