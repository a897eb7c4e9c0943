#include "server/text/text_cleanup.h"

#include <unicode/uchar.h>

#include <algorithm>
#include <optional>

#include "server/text/html_entities.h"
#include "server/text/mojibake.h"
#include "server/text/unicode.h"

namespace filo::text {
namespace {

bool IsAsciiAlnum(char32_t c) {
  return (c >= U'0' && c <= U'9') || (c >= U'a' && c <= U'z') || (c >= U'A' && c <= U'Z');
}

std::optional<unsigned> DigitValue(char32_t c, unsigned base) {
  unsigned value = 99;
  if (c >= U'0' && c <= U'9') value = c - U'0';
  if (c >= U'a' && c <= U'f') value = c - U'a' + 10;
  if (c >= U'A' && c <= U'F') value = c - U'A' + 10;
  return value < base ? std::optional<unsigned>(value) : std::nullopt;
}

// ---- HTML character references -----------------------------------------------------------------

// Code points that a numeric reference may not stand for.
bool IsInvalidReference(char32_t c) {
  return (c >= 0x1 && c <= 0x8) || c == 0xB || (c >= 0xE && c <= 0x1F) || (c >= 0x7F && c <= 0x9F) ||
         (c >= 0xFDD0 && c <= 0xFDEF) || (c & 0xFFFE) == 0xFFFE;
}

std::u32string NumericReference(char32_t number) {
  if (number == 0) return U"\uFFFD";
  if (number >= 0x80 && number <= 0x9F) return std::u32string(1, Windows1252(number));
  if ((number >= 0xD800 && number <= 0xDFFF) || number > 0x10FFFF) return U"\uFFFD";
  if (IsInvalidReference(number)) return U"";
  return std::u32string(1, number);
}

// Replaces the reference that starts at text[at] ('&'); returns the end of what was read, or `at` if it is
// none.
std::size_t ReplaceReference(std::u32string_view text, std::size_t at, std::u32string& out) {
  std::size_t i = at + 1;
  if (i < text.size() && text[i] == U'#') {
    ++i;
    unsigned base = 10;
    if (i < text.size() && (text[i] == U'x' || text[i] == U'X')) {
      base = 16;
      ++i;
    }
    const std::size_t digits_from = i;
    char32_t number = 0;
    for (; i < text.size(); ++i) {
      const auto digit = DigitValue(text[i], base);
      if (!digit.has_value()) break;
      number = std::min<char32_t>(number * base + *digit, 0x110000);
    }
    if (i == digits_from) return at;
    if (i < text.size() && text[i] == U';') ++i;
    out += NumericReference(number);
    return i;
  }
  const auto ends_name = [](char32_t c) {
    return c == U'\t' || c == U'\n' || c == U'\f' || c == U' ' || c == U'<' || c == U'&' || c == U'#' ||
           c == U';';
  };
  while (i < text.size() && i - at - 1 < 32 && !ends_name(text[i])) ++i;
  if (i == at + 1) return at;
  if (i < text.size() && text[i] == U';') ++i;
  // The whole name first, then ever shorter beginnings of it (the old names need no semicolon).
  const std::u32string_view name = text.substr(at + 1, i - at - 1);
  for (std::size_t length = name.size(); length >= 2 || length == name.size(); --length) {
    if (const auto entity = HtmlEntity(ToUtf8(name.substr(0, length)))) {
      out += FromUtf8(*entity);
      out += name.substr(length);
      return i;
    }
    if (length <= 1) break;
  }
  out.push_back(U'&');
  out += name;
  return i;
}

std::u32string Unescape(std::u32string_view text) {
  std::u32string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size();) {
    if (text[i] == U'&') {
      const std::size_t end = ReplaceReference(text, i, out);
      if (end > i) {
        i = end;
        continue;
      }
    }
    out.push_back(text[i++]);
  }
  return out;
}

// ftfy's stricter reading: only with a semicolon, and lower-case names also in capitals ("P&EACUTE;REZ").
std::optional<std::u32string> StrictReference(std::u32string_view reference) {
  const std::string name = ToUtf8(reference.substr(1));
  if (const auto entity = HtmlEntity(name)) return FromUtf8(*entity);
  if (reference[1] == U'#') {
    std::u32string decoded = Unescape(reference);
    if (decoded.find(U';') != std::u32string::npos) return std::nullopt;
    return decoded;
  }
  const std::u32string lower = Lower(reference.substr(1));
  if (Upper(lower) != reference.substr(1)) return std::nullopt;
  const auto entity = HtmlEntity(ToUtf8(lower));
  if (!entity.has_value() || Unescape(reference) != reference) return std::nullopt;
  return Upper(FromUtf8(*entity));
}

std::u32string StrictUnescape(std::u32string_view text) {
  std::u32string out;
  for (std::size_t i = 0; i < text.size();) {
    if (text[i] == U'&') {
      std::size_t end = i + 1;
      if (end < text.size() && text[end] == U'#') ++end;
      const std::size_t from = end;
      while (end < text.size() && end - from < 24 && IsAsciiAlnum(text[end])) ++end;
      if (end > from && end < text.size() && text[end] == U';') {
        const std::u32string_view reference = text.substr(i, end + 1 - i);
        out += StrictReference(reference).value_or(std::u32string(reference));
        i = end + 1;
        continue;
      }
    }
    out.push_back(text[i++]);
  }
  return out;
}

// ---- Character by character --------------------------------------------------------------------

std::u32string_view Ligature(char32_t c) {
  switch (c) {
    case 0x132:
      return U"IJ";
    case 0x133:
      return U"ij";
    case 0x149:
      return U"\u02BCn";
    case 0x1F1:
      return U"DZ";
    case 0x1F2:
      return U"Dz";
    case 0x1F3:
      return U"dz";
    case 0x1C4:
      return U"D\u017D";
    case 0x1C5:
      return U"D\u017E";
    case 0x1C6:
      return U"d\u017E";
    case 0x1C7:
      return U"LJ";
    case 0x1C8:
      return U"Lj";
    case 0x1C9:
      return U"lj";
    case 0x1CA:
      return U"NJ";
    case 0x1CB:
      return U"Nj";
    case 0x1CC:
      return U"nj";
    case 0xFB00:
      return U"ff";
    case 0xFB01:
      return U"fi";
    case 0xFB02:
      return U"fl";
    case 0xFB03:
      return U"ffi";
    case 0xFB04:
      return U"ffl";
    case 0xFB05:
      return U"\u017Ft";
    case 0xFB06:
      return U"st";
    default:
      return {};
  }
}

std::u32string BreakLigatures(std::u32string_view text) {
  std::u32string out;
  for (const char32_t c : text) {
    const std::u32string_view parts = Ligature(c);
    if (parts.empty()) {
      out.push_back(c);
    } else {
      out += parts;
    }
  }
  return out;
}

std::u32string StandardWidth(std::u32string_view text) {
  std::u32string out;
  for (const char32_t c : text) {
    if (c == 0x3000) {
      out.push_back(U' ');
    } else if (c >= 0xFF01 && c <= 0xFFEF) {
      out += NormaliseNfkc(std::u32string_view(&c, 1));
    } else {
      out.push_back(c);
    }
  }
  return out;
}

std::u32string StraightQuotes(std::u32string text) {
  for (char32_t& c : text) {
    if (c == 0x2BC || (c >= 0x2018 && c <= 0x201B)) c = U'\'';
    if (c >= 0x201C && c <= 0x201F) c = U'"';
  }
  return text;
}

std::u32string UnixLineBreaks(std::u32string_view text) {
  std::u32string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char32_t c = text[i];
    if (c == U'\r' && i + 1 < text.size() && text[i + 1] == U'\n') continue;
    out.push_back(c == U'\r' || c == 0x2028 || c == 0x2029 || c == 0x85 ? U'\n' : c);
  }
  return out;
}

std::u32string WithoutTerminalEscapes(std::u32string_view text) {
  std::u32string out;
  for (std::size_t i = 0; i < text.size();) {
    if (text[i] == 0x1B && i + 1 < text.size() && text[i + 1] == U'[') {
      std::size_t end = i + 2;
      while (end < text.size() && (text[end] == U';' || u_isdigit(static_cast<UChar32>(text[end])))) ++end;
      if (end < text.size() && IsAsciiAlnum(text[end]) && !(text[end] >= U'0' && text[end] <= U'9')) {
        i = end + 1;
        continue;
      }
    }
    out.push_back(text[i++]);
  }
  return out;
}

bool IsUnwantedControl(char32_t c) {
  return c <= 0x8 || c == 0xB || (c >= 0xE && c <= 0x1F) || c == 0x7F || (c >= 0x206A && c <= 0x206F) ||
         c == 0xFEFF || (c >= 0xFFF9 && c <= 0xFFFC);
}

std::u32string FixSegment(std::u32string_view segment, bool unescape_html) {
  std::u32string text(segment);
  while (true) {
    const std::u32string before = text;
    if (unescape_html) text = StrictUnescape(text);
    text = FixC1Controls(FixEncoding(text));
    text = UnixLineBreaks(StraightQuotes(StandardWidth(BreakLigatures(text))));
    text = WithoutTerminalEscapes(text);
    std::erase_if(text, IsUnwantedControl);
    text = NormaliseNfc(text);
    if (text == before) return text;
  }
}

std::u32string Fix(std::u32string_view text) {
  std::u32string out;
  bool unescape_html = true;
  while (!text.empty()) {
    const std::size_t newline = text.find(U'\n');
    const std::u32string_view segment =
        text.substr(0, newline == std::u32string_view::npos ? newline : newline + 1);
    text.remove_prefix(segment.size());
    // A line with "<" may be real HTML, in which a reference is meant as it stands.
    if (segment.find(U'<') != std::u32string_view::npos) unescape_html = false;
    out += FixSegment(segment, unescape_html);
  }
  return out;
}

std::u32string CollapseSpace(std::u32string_view text) {
  std::u32string out;
  for (const char32_t c : Strip(text)) {
    if (!IsSpace(c)) {
      out.push_back(c);
    } else if (!out.empty() && out.back() != U' ') {
      out.push_back(U' ');
    }
  }
  return out;
}

}  // namespace

std::string FixText(std::string_view text) { return ToUtf8(Fix(FromUtf8(text))); }

std::string UnescapeHtml(std::string_view text) { return ToUtf8(Unescape(FromUtf8(text))); }

std::string CleanForClip(std::string_view text) {
  return ToUtf8(Lower(CollapseSpace(Unescape(Unescape(Fix(FromUtf8(text)))))));
}

}  // namespace filo::text
