#include "server/text/mojibake.h"

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <optional>
#include <span>

#include "server/text/mojibake_ranges.h"
#include "server/text/unicode.h"

namespace filo::text {
namespace {

#include "server/text/mojibake_encodings.inc"

// ---- 8-bit encodings ---------------------------------------------------------------------------

struct Encoding {
  const char16_t* upper_half;  // characters of bytes 0x80-0xFF; null = Latin-1
  bool sloppy;                 // byte 0x1A stands for U+FFFD
  bool mac_roman = false;
};

constexpr Encoding kEncodings[] = {
    {nullptr, false},         {kWindows1252, true}, {kWindows1251, true}, {kWindows1250, true},
    {kWindows1253, true},     {kWindows1254, true}, {kWindows1257, true}, {kIso88592, false},
    {kMacroman, false, true}, {kCp437, false},
};

std::optional<std::string> EncodeIn(const Encoding& encoding, std::u32string_view text) {
  std::string bytes;
  bytes.reserve(text.size());
  for (const char32_t c : text) {
    if (c < 0x80) {
      if (c == 0x1A && encoding.sloppy) return std::nullopt;
      bytes.push_back(static_cast<char>(c));
    } else if (c == 0xFFFD && encoding.sloppy) {
      bytes.push_back('\x1A');
    } else if (encoding.upper_half == nullptr) {
      if (c > 0xFF) return std::nullopt;
      bytes.push_back(static_cast<char>(c));
    } else {
      const char16_t* end = encoding.upper_half + 128;
      const char16_t* it = std::find(encoding.upper_half, end, c);
      if (it == end) return std::nullopt;
      bytes.push_back(static_cast<char>(0x80 + (it - encoding.upper_half)));
    }
  }
  return bytes;
}

// ---- Bytes that are nearly UTF-8 ---------------------------------------------------------------

std::uint8_t ByteAt(std::string_view bytes, std::size_t at) {
  return at < bytes.size() ? static_cast<std::uint8_t>(bytes[at]) : 0;
}

bool IsContinuation(std::uint8_t b) { return b >= 0x80 && b <= 0xBF; }

// Length of a sequence at `at` that would be UTF-8 if its one space were byte A0, or 0.
std::size_t SpacedSequence(std::string_view bytes, std::size_t at) {
  const std::uint8_t lead = ByteAt(bytes, at), b = ByteAt(bytes, at + 1), c = ByteAt(bytes, at + 2);
  const std::uint8_t d = ByteAt(bytes, at + 3);
  // Bytes that a program took for white space (85, A0) are left out here.
  const auto plain = [](std::uint8_t x) { return IsContinuation(x) && x != 0x85 && x != 0xA0; };
  switch (lead) {
    case 0xC2:
    case 0xC3:
    case 0xC5:
    case 0xCE:
    case 0xD0:
    case 0xD9:
      return b == ' ' ? 2 : 0;
    case 0xE2:
    case 0xE3:
      if (b == ' ' && plain(c)) return 3;
      [[fallthrough]];
    case 0xE0:
    case 0xE1:
      return plain(b) && c == ' ' ? 3 : 0;
    case 0xF0:
      if (b == ' ' && IsContinuation(c) && IsContinuation(d)) return 4;
      if (IsContinuation(b) && c == ' ' && IsContinuation(d)) return 4;
      return IsContinuation(b) && IsContinuation(c) && d == ' ' ? 4 : 0;
    default:
      return 0;
  }
}

// "Ã " as a word of its own is "à" (except where Portuguese contracts it with the next word).
std::string KeepSpaceAfterAGrave(std::string_view bytes) {
  std::string out;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    if (ByteAt(bytes, i) == 0xC3 && ByteAt(bytes, i + 1) == ' ') {
      const std::string_view next = bytes.substr(i + 2);
      bool joined = false;
      for (const std::string_view word : {" ", "quele", "quela", "quilo", "s "}) {
        joined = joined || next.substr(0, word.size()) == word;
      }
      if (!joined) {
        out += "\xC3\xA0 ";
        ++i;
        continue;
      }
    }
    out.push_back(bytes[i]);
  }
  return out;
}

std::string RestoreByteA0(std::string_view bytes) {
  std::string out = KeepSpaceAfterAGrave(bytes);
  for (std::size_t i = 0; i < out.size();) {
    const std::size_t length = SpacedSequence(out, i);
    for (std::size_t k = i; k < i + length; ++k) {
      if (out[k] == ' ') out[k] = '\xA0';
    }
    i += length == 0 ? 1 : length;
  }
  return out;
}

bool HasSpacedSequence(std::string_view bytes) {
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    if (SpacedSequence(bytes, i) > 0) return true;
  }
  return false;
}

// Length of a UTF-8 or CESU-8 sequence at `at` of which a byte was lost (1A, once "?" too), or 0.
std::size_t LossySequence(std::string_view bytes, std::size_t at) {
  const auto b = [&](std::size_t i) { return ByteAt(bytes, at + i); };
  const auto in = [](std::uint8_t x, int low, int high) { return x >= low && x <= high; };
  const auto lost = [](std::uint8_t x) { return x == 0x1A || x == '?'; };
  const auto kept = [](std::uint8_t x) { return x == 0x1A || IsContinuation(x); };
  const std::uint8_t lead = b(0);
  if (in(lead, 0xC2, 0xDF) && b(1) == 0x1A) return 2;
  if (in(lead, 0xC2, 0xC3) && b(1) == '?') return 2;
  if (lead == 0xED && in(b(1), 0xA0, 0xAF) && b(3) == 0xED && in(b(4), 0xB0, 0xBF)) {
    if (lost(b(2)) && (lost(b(5)) || IsContinuation(b(5)))) return 6;
    if ((lost(b(2)) || IsContinuation(b(2))) && lost(b(5))) return 6;
  }
  if (in(lead, 0xE0, 0xEF) && ((lost(b(1)) && kept(b(2))) || (kept(b(1)) && lost(b(2))))) return 3;
  if (in(lead, 0xF0, 0xF4)) {
    if (lost(b(1)) && kept(b(2)) && kept(b(3))) return 4;
    if (kept(b(1)) && lost(b(2)) && kept(b(3))) return 4;
    if (kept(b(1)) && kept(b(2)) && lost(b(3))) return 4;
  }
  return lead == 0x1A && at < bytes.size() ? 1 : 0;
}

std::string ReplaceLossySequences(std::string_view bytes) {
  std::string out;
  for (std::size_t i = 0; i < bytes.size();) {
    const std::size_t length = LossySequence(bytes, i);
    if (length > 0) {
      out += "\xEF\xBF\xBD";
      i += length;
    } else {
      out.push_back(bytes[i++]);
    }
  }
  return out;
}

// Strict UTF-8; with `variants` also CESU-8 pairs, and C0 80 as U+0000 (Java).
std::optional<std::u32string> DecodeUtf8(std::string_view bytes, bool variants) {
  std::u32string out;
  std::size_t plain_from = 0;
  const auto flush = [&](std::size_t to) {
    const std::string_view plain = bytes.substr(plain_from, to - plain_from);
    if (!IsWellFormedUtf8(plain)) return false;
    out += FromUtf8(plain);
    return true;
  };
  for (std::size_t i = 0; variants && i < bytes.size();) {
    const auto b = [&](std::size_t k) { return ByteAt(bytes, i + k); };
    const bool java_null = b(0) == 0xC0 && b(1) == 0x80;
    const bool pair = b(0) == 0xED && b(1) >= 0xA0 && b(1) <= 0xAF && IsContinuation(b(2)) && b(3) == 0xED &&
                      b(4) >= 0xB0 && b(4) <= 0xBF && IsContinuation(b(5));
    if (!java_null && !pair) {
      ++i;
      continue;
    }
    if (!flush(i)) return std::nullopt;
    if (java_null) {
      out.push_back(0);
    } else {
      out.push_back(0x10000u + (static_cast<char32_t>(b(1) & 0x0F) << 16) +
                    (static_cast<char32_t>(b(2) & 0x3F) << 10) + (static_cast<char32_t>(b(4) & 0x0F) << 6) +
                    static_cast<char32_t>(b(5) & 0x3F));
    }
    i += java_null ? 2 : 6;
    plain_from = i;
  }
  if (!flush(bytes.size())) return std::nullopt;
  return out;
}

// Reads the bytes of `text` in `encoding` as UTF-8, mending what is mendable.
std::optional<std::u32string> Redecode(const Encoding& encoding, std::string bytes) {
  if (!encoding.mac_roman && HasSpacedSequence(bytes)) bytes = RestoreByteA0(bytes);
  if (encoding.sloppy) bytes = ReplaceLossySequences(bytes);
  const bool variants = bytes.find('\xED') != std::string::npos || bytes.find('\xC0') != std::string::npos;
  return DecodeUtf8(bytes, variants);
}

// ---- Mojibake inside good text -----------------------------------------------------------------

// End of the run of UTF-8-like sequences that starts at `at`, or `at`.
std::size_t RunOfSequences(std::u32string_view text, std::size_t at) {
  const auto continues = [&](std::size_t from, std::size_t count) {
    for (std::size_t i = from; i < from + count; ++i) {
      if (i >= text.size() || !In(kContinuationRanges, text[i])) return false;
    }
    return true;
  };
  while (at < text.size()) {
    if (In(kLeadOf2Ranges, text[at]) && continues(at + 1, 1)) {
      at += 2;
    } else if (In(kLeadOf3Ranges, text[at]) && continues(at + 1, 2)) {
      at += 3;
    } else if (In(kLeadOf4Ranges, text[at]) && continues(at + 1, 3)) {
      at += 4;
    } else {
      break;
    }
  }
  return at;
}

std::u32string FixEmbedded(std::u32string_view text) {
  std::u32string out;
  for (std::size_t i = 0; i < text.size();) {
    const bool after_continuation = i > 0 && In(kContinuationStrictRanges, text[i - 1]);
    const std::size_t end = after_continuation ? i : RunOfSequences(text, i);
    if (end == i) {
      out.push_back(text[i++]);
      continue;
    }
    const std::u32string_view run = text.substr(i, end - i);
    if (run.size() < text.size() && LooksLikeMojibake(run)) {
      out += FixEncoding(run);
    } else {
      out += run;
    }
    i = end;
  }
  return out;
}

bool IsC1(char32_t c) { return c >= 0x80 && c <= 0x9F; }

// Latin-1 text read as strict Windows-1252; none if a byte is unassigned there.
std::optional<std::u32string> Latin1AsWindows1252(std::u32string_view text) {
  std::u32string out;
  for (const char32_t c : text) {
    if (c > 0xFF || c == 0x81 || c == 0x8D || c == 0x8F || c == 0x90 || c == 0x9D) return std::nullopt;
    out.push_back(IsC1(c) ? Windows1252(c) : c);
  }
  return out;
}

std::u32string FixOneStep(std::u32string_view text) {
  const bool ascii = std::all_of(text.begin(), text.end(), [](char32_t c) { return c < 0x80; });
  if (ascii || !LooksLikeMojibake(text)) return std::u32string(text);
  for (const Encoding& encoding : kEncodings) {
    std::optional<std::string> bytes = EncodeIn(encoding, text);
    if (!bytes.has_value()) continue;
    if (std::optional<std::u32string> fixed = Redecode(encoding, *std::move(bytes))) return *std::move(fixed);
  }
  if (std::u32string fixed = FixEmbedded(text); fixed != text) return fixed;
  if (const auto fixed = Latin1AsWindows1252(text); fixed.has_value() && *fixed != text) return *fixed;
  return FixC1Controls(text);
}

}  // namespace

std::u32string FixEncoding(std::u32string_view text) {
  std::u32string current(text);
  while (true) {
    std::u32string next = FixOneStep(current);
    if (next == current) return current;
    current = std::move(next);
  }
}

std::u32string FixC1Controls(std::u32string_view text) {
  std::u32string out(text);
  for (char32_t& c : out) {
    if (IsC1(c)) c = Windows1252(c);
  }
  return out;
}

char32_t Windows1252(char32_t byte) {
  return byte >= 0x80 && byte <= 0x9F ? kWindows1252[byte - 0x80] : byte;
}

}  // namespace filo::text
