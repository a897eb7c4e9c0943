#include "server/text/clip_tokenizer.h"

#include <zlib.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>
#include <queue>
#include <utility>

#include "fmt/format.h"
#include "nlohmann/json.hpp"
#include "server/base/status.h"
#include "server/text/text_cleanup.h"
#include "server/text/unicode.h"

namespace filo::text {
namespace {

constexpr std::size_t kMaxVocabularyBytes = 64u << 20;
// OpenAI's file holds more merges than the model was trained with.
constexpr std::size_t kOpenAiMerges = 49152 - 256 - 2;
constexpr std::string_view kWordEnd = "</w>";
// The two special tokens as vocabularies write them, and as FiLo's tokenizer finds them in a text.
constexpr std::string_view kStart = "<|startoftext|>";
constexpr std::string_view kEnd = "<|endoftext|>";
constexpr std::u32string_view kStartInText = U"<start_of_text>";
constexpr std::u32string_view kEndInText = U"<end_of_text>";

absl::StatusOr<std::string> ReadFile(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) return absl::NotFoundError(fmt::format("cannot open tokenizer file {}", path.string()));
  std::string bytes(std::istreambuf_iterator<char>(in), {});
  if (in.bad()) return absl::DataLossError(fmt::format("cannot read tokenizer file {}", path.string()));
  return bytes;
}

absl::StatusOr<std::string> Gunzip(std::string_view bytes) {
  z_stream stream{};
  if (inflateInit2(&stream, 15 + 16) != Z_OK) return absl::ResourceExhaustedError("zlib: out of memory");
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(std::min<std::size_t>(bytes.size(), std::numeric_limits<uInt>::max()));
  std::string out;
  int code = Z_OK;
  char buffer[1 << 15];
  while (code == Z_OK && out.size() <= kMaxVocabularyBytes) {
    stream.next_out = reinterpret_cast<Bytef*>(buffer);
    stream.avail_out = sizeof(buffer);
    code = inflate(&stream, Z_NO_FLUSH);
    out.append(buffer, sizeof(buffer) - stream.avail_out);
  }
  inflateEnd(&stream);
  if (code != Z_STREAM_END) {
    return absl::InvalidArgumentError(
        "merges file: gzip data are broken, cut off, or larger than 64 MiB unpacked");
  }
  return out;
}

// The printable character by which the files write each byte: itself where printable Latin-1, else U+0100
// onwards.
struct ByteAlphabet {
  std::array<std::string, 256> text;         // UTF-8 of the character of each byte
  std::array<std::uint8_t, 256> in_order{};  // bytes in the order of their ids
};

ByteAlphabet MakeByteAlphabet() {
  ByteAlphabet alphabet;
  std::size_t next = 0;
  const auto printable = [](unsigned b) {
    return (b >= '!' && b <= '~') || (b >= 0xA1 && b <= 0xAC) || b >= 0xAE;
  };
  for (unsigned b = 0; b < 256; ++b) {
    if (!printable(b)) continue;
    alphabet.text[b] = ToUtf8(std::u32string(1, static_cast<char32_t>(b)));
    alphabet.in_order[next++] = static_cast<std::uint8_t>(b);
  }
  char32_t spare = 0x100;
  for (unsigned b = 0; b < 256; ++b) {
    if (printable(b)) continue;
    alphabet.text[b] = ToUtf8(std::u32string(1, spare++));
    alphabet.in_order[next++] = static_cast<std::uint8_t>(b);
  }
  return alphabet;
}

using Pairs = std::vector<std::pair<std::string, std::string>>;

absl::StatusOr<Pairs> ParseMerges(std::string_view text, std::size_t limit) {
  Pairs merges;
  std::size_t line_number = 0;
  while (!text.empty() && merges.size() < limit) {
    const std::size_t newline = text.find('\n');
    std::string_view line = text.substr(0, newline);
    text.remove_prefix(newline == std::string_view::npos ? text.size() : newline + 1);
    ++line_number;
    if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
    // The first line is a comment ("#version: 0.2", or OpenAI's quoted file name).
    if (line_number == 1 || line.empty()) continue;
    const std::size_t space = line.find(' ');
    if (space == 0 || space == std::string_view::npos || space + 1 == line.size() ||
        line.find(' ', space + 1) != std::string_view::npos) {
      return FieldError(fmt::format("merges file, line {}", line_number), line,
                        "be two tokens with one space between");
    }
    merges.emplace_back(line.substr(0, space), line.substr(space + 1));
  }
  if (merges.empty()) return absl::InvalidArgumentError("merges file: holds no merges");
  return merges;
}

// Which run of the reference's pattern a code point belongs to.
enum class Kind { kSpace, kLetter, kNumber, kOther };

Kind KindOf(char32_t c) {
  // The iota subscript folds to a letter and is none, so that no part of the case-blind pattern takes it.
  if (c == 0x345) return Kind::kSpace;
  if (IsSpace(c)) return Kind::kSpace;
  if (IsLetter(c)) return Kind::kLetter;
  if (IsNumber(c)) return Kind::kNumber;
  return Kind::kOther;
}

// Length of a contraction ('s 't 're 've 'm 'll 'd) at the start of `text`, or 0. The pattern ignores case,
// so that ſ (which folds to s) counts too.
std::size_t ContractionLength(std::u32string_view text) {
  if (text.size() < 2 || text[0] != U'\'') return 0;
  const char32_t a = text[1];
  if (a == U's' || a == U'\u017F' || a == U't' || a == U'm' || a == U'd') return 2;
  if (text.size() < 3) return 0;
  const char32_t b = text[2];
  return ((a == U'r' || a == U'v') && b == U'e') || (a == U'l' && b == U'l') ? 3 : 0;
}

std::size_t WordLength(std::u32string_view text) {
  if (const std::size_t n = ContractionLength(text); n > 0) return n;
  const Kind kind = KindOf(text[0]);
  if (kind == Kind::kNumber) return 1;
  std::size_t n = 1;
  while (n < text.size() && KindOf(text[n]) == kind) ++n;
  return n;
}

}  // namespace

absl::StatusOr<std::unique_ptr<const ClipTokenizer>> ClipTokenizer::FromMerges(std::string_view merges) {
  std::string unpacked;
  if (merges.substr(0, 2) == "\x1f\x8b") {
    FILO_ASSIGN_OR_RETURN(unpacked, Gunzip(merges));
    merges = unpacked;
  }
  FILO_ASSIGN_OR_RETURN(const Pairs pairs, ParseMerges(merges, kOpenAiMerges));
  // Ids as OpenAI numbers them: bytes, bytes that end a word, merges in order, the two special tokens.
  const ByteAlphabet alphabet = MakeByteAlphabet();
  Ids ids;
  std::int32_t next = 0;
  for (const std::uint8_t b : alphabet.in_order) ids.emplace(alphabet.text[b], next++);
  for (const std::uint8_t b : alphabet.in_order)
    ids.emplace(fmt::format("{}{}", alphabet.text[b], kWordEnd), next++);
  for (const auto& [left, right] : pairs) ids[left + right] = next++;
  ids.emplace(kStart, next++);
  ids.emplace(kEnd, next++);
  std::unique_ptr<ClipTokenizer> tokenizer(new ClipTokenizer());
  FILO_RETURN_IF_ERROR(tokenizer->Build(ids, pairs));
  return tokenizer;
}

absl::StatusOr<std::unique_ptr<const ClipTokenizer>> ClipTokenizer::FromVocabularyAndMerges(
    std::string_view vocabulary_json, std::string_view merges) {
  const nlohmann::json json = nlohmann::json::parse(vocabulary_json, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return absl::InvalidArgumentError("vocab.json: is no JSON object of token to id");
  Ids ids;
  for (const auto& [token, id] : json.items()) {
    if (!id.is_number_integer() || id < 0 || id >= (1 << 24)) {
      return FieldError(fmt::format("vocab.json: {}", token), id.dump(), "be an id from 0 to 16777215");
    }
    ids.emplace(token, id.get<std::int32_t>());
  }
  FILO_ASSIGN_OR_RETURN(const Pairs pairs, ParseMerges(merges, std::numeric_limits<std::size_t>::max()));
  std::unique_ptr<ClipTokenizer> tokenizer(new ClipTokenizer());
  FILO_RETURN_IF_ERROR(tokenizer->Build(ids, pairs));
  return tokenizer;
}

absl::StatusOr<std::unique_ptr<const ClipTokenizer>> ClipTokenizer::Load(const std::string& path) {
  namespace fs = std::filesystem;
  std::error_code error;
  fs::path folder = path;
  fs::path merges = path;
  if (fs::is_directory(path, error)) {
    merges = folder / "merges.txt";
    for (const char* name : {"bpe_simple_vocab_16e6.txt.gz", "bpe_simple_vocab_16e6.txt"}) {
      if (!fs::exists(merges, error)) merges = folder / name;
    }
  } else {
    folder = fs::path(path).parent_path();
    if (merges.filename() == "vocab.json") merges = folder / "merges.txt";
  }
  FILO_ASSIGN_OR_RETURN(const std::string bytes, ReadFile(merges));
  absl::StatusOr<std::unique_ptr<const ClipTokenizer>> tokenizer;
  if (merges.filename() == "merges.txt") {
    FILO_ASSIGN_OR_RETURN(const std::string json, ReadFile(folder / "vocab.json"));
    tokenizer = FromVocabularyAndMerges(json, bytes);
  } else {
    tokenizer = FromMerges(bytes);
  }
  if (!tokenizer.ok()) return Annotate(tokenizer.status(), merges.string());
  return tokenizer;
}

absl::Status ClipTokenizer::Build(const Ids& ids, const Pairs& merges) {
  const auto find = [&](std::string_view token, std::int32_t& id) -> absl::Status {
    const auto it = ids.find(std::string(token));
    if (it == ids.end())
      return absl::InvalidArgumentError(fmt::format("vocabulary: token \"{}\" is missing", token));
    id = it->second;
    return absl::OkStatus();
  };
  const ByteAlphabet alphabet = MakeByteAlphabet();
  for (std::size_t b = 0; b < 256; ++b) {
    FILO_RETURN_IF_ERROR(find(alphabet.text[b], inner_[b]));
    FILO_RETURN_IF_ERROR(find(fmt::format("{}{}", alphabet.text[b], kWordEnd), last_[b]));
  }
  FILO_RETURN_IF_ERROR(find(kStart, start_));
  FILO_RETURN_IF_ERROR(find(kEnd, end_));
  std::int32_t rank = 0;
  for (const auto& [left, right] : merges) {
    std::int32_t left_id = 0, right_id = 0, merged = 0;
    FILO_RETURN_IF_ERROR(find(left, left_id));
    FILO_RETURN_IF_ERROR(find(right, right_id));
    FILO_RETURN_IF_ERROR(find(left + right, merged));
    const auto key = static_cast<std::uint64_t>(left_id) << 32 | static_cast<std::uint32_t>(right_id);
    merges_.emplace(key, Merge{rank++, merged});
  }
  for (const auto& [token, id] : ids) size_ = std::max(size_, id + 1);
  return absl::OkStatus();
}

// Merges the pair of lowest rank first, leftmost among equals, until no known pair is left: a heap of
// candidates over a linked list, so that a word of any length costs n log n.
void ClipTokenizer::EncodeWord(std::string_view bytes, std::vector<std::int64_t>& out) const {
  struct Symbol {
    std::int32_t id;
    int previous, next;
  };
  struct Candidate {
    std::int32_t rank;
    int left;
    std::int32_t left_id, right_id, merged;
    bool operator>(const Candidate& other) const {
      return rank != other.rank ? rank > other.rank : left > other.left;
    }
  };
  const int n = static_cast<int>(bytes.size());
  std::vector<Symbol> symbols(bytes.size());
  for (int i = 0; i < n; ++i) {
    const auto byte = static_cast<std::uint8_t>(bytes[static_cast<std::size_t>(i)]);
    symbols[static_cast<std::size_t>(i)] = {i + 1 == n ? last_[byte] : inner_[byte], i - 1,
                                            i + 1 == n ? -1 : i + 1};
  }
  const auto at = [&](int i) -> Symbol& { return symbols[static_cast<std::size_t>(i)]; };
  std::priority_queue<Candidate, std::vector<Candidate>, std::greater<>> candidates;
  const auto consider = [&](int left) {
    if (left < 0 || at(left).next < 0) return;
    const std::int32_t a = at(left).id, b = at(at(left).next).id;
    const auto it = merges_.find(static_cast<std::uint64_t>(a) << 32 | static_cast<std::uint32_t>(b));
    if (it != merges_.end()) candidates.push({it->second.rank, left, a, b, it->second.id});
  };
  for (int i = 0; i < n; ++i) consider(i);
  while (!candidates.empty()) {
    const Candidate best = candidates.top();
    candidates.pop();
    Symbol& left = at(best.left);
    // Stale if either side has been merged since (a swallowed symbol has id -1).
    if (left.id != best.left_id || left.next < 0 || at(left.next).id != best.right_id) continue;
    Symbol& right = at(left.next);
    left.id = best.merged;
    left.next = right.next;
    right.id = -1;
    if (left.next >= 0) at(left.next).previous = best.left;
    consider(left.previous);
    consider(best.left);
  }
  for (int i = 0; i >= 0 && n > 0; i = at(i).next) out.push_back(at(i).id);
}

std::vector<std::int64_t> ClipTokenizer::Encode(std::string_view text) const {
  const std::u32string clean = FromUtf8(CleanForClip(text));
  std::vector<std::int64_t> out = {start_};
  std::u32string_view rest = clean;
  while (!rest.empty()) {
    if (KindOf(rest[0]) == Kind::kSpace) {
      rest.remove_prefix(1);
    } else if (rest.substr(0, kStartInText.size()) == kStartInText) {
      out.push_back(start_);
      rest.remove_prefix(kStartInText.size());
    } else if (rest.substr(0, kEndInText.size()) == kEndInText) {
      out.push_back(end_);
      rest.remove_prefix(kEndInText.size());
    } else {
      const std::size_t length = WordLength(rest);
      EncodeWord(ToUtf8(rest.substr(0, length)), out);
      rest.remove_prefix(length);
    }
  }
  out.push_back(end_);
  return out;
}

}  // namespace filo::text
