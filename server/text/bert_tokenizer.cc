#include "server/text/bert_tokenizer.h"

#include <unicode/uchar.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <utility>

#include "fmt/format.h"
#include "server/base/status.h"
#include "server/text/unicode.h"

namespace filo::text {
namespace {

constexpr std::size_t kMaxWordCharacters = 100;

bool IsWhiteSpace(char32_t c) { return IsSpace(c) && !(c >= 0x1C && c <= 0x1F); }

// The reference's character tables are those of Unicode 8: later characters are unassigned to it.
bool IsKnown(char32_t c) {
  UVersionInfo age;
  u_charAge(static_cast<UChar32>(c), age);
  return age[0] > 0 && age[0] <= 8;
}

// Dropped before anything else. Unassigned code points stay, unlike in Hugging Face's slow tokenizer.
bool IsDropped(char32_t c) {
  if (c == 0 || c == 0xFFFD) return true;
  if (c == U'\t' || c == U'\n' || c == U'\r') return false;
  const int category = u_charType(static_cast<UChar32>(c));
  return (category == U_CONTROL_CHAR || category == U_FORMAT_CHAR || category == U_PRIVATE_USE_CHAR) &&
         IsKnown(c);
}

bool IsCjk(char32_t c) {
  return (c >= 0x4E00 && c <= 0x9FFF) || (c >= 0x3400 && c <= 0x4DBF) || (c >= 0x20000 && c <= 0x2A6DF) ||
         (c >= 0x2A700 && c <= 0x2B73F) || (c >= 0x2B740 && c <= 0x2B81F) || (c >= 0x2B920 && c <= 0x2CEAF) ||
         (c >= 0xF900 && c <= 0xFAFF) || (c >= 0x2F800 && c <= 0x2FA1F);
}

bool IsBertPunctuation(char32_t c) {
  if (c < 0x80)
    return (c >= 33 && c <= 47) || (c >= 58 && c <= 64) || (c >= 91 && c <= 96) || (c >= 123 && c <= 126);
  return IsPunctuation(c) && IsKnown(c);
}

bool IsAccent(char32_t c) { return c >= 0x80 && IsNonspacingMark(c) && IsKnown(c); }

// What the uncased model reads: no control characters, CJK set apart, no accents, lower case.
std::u32string Normalised(std::u32string_view text) {
  std::u32string spaced;
  spaced.reserve(text.size());
  for (const char32_t c : text) {
    if (IsDropped(c)) continue;
    if (IsWhiteSpace(c)) {
      spaced.push_back(U' ');
    } else if (IsCjk(c)) {
      spaced.append({U' ', c, U' '});
    } else {
      spaced.push_back(c);
    }
  }
  std::u32string bare = NormaliseNfd(spaced);
  std::erase_if(bare, IsAccent);
  std::u32string lowered;
  lowered.reserve(bare.size());
  // One character at a time: no final sigma here.
  for (const char32_t c : bare)
    lowered += c < 0x80 ? std::u32string(1, c | (c >= U'A' && c <= U'Z' ? 0x20u : 0u))
                        : Lower(std::u32string_view(&c, 1));
  return lowered;
}

void ReplaceAll(std::string& text, std::string_view from, std::string_view to) {
  for (std::size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size()) {
    text.replace(at, from.size(), to);
  }
}

}  // namespace

absl::StatusOr<std::unique_ptr<const BertTokenizer>> BertTokenizer::FromVocabulary(
    std::string_view vocabulary) {
  std::unique_ptr<BertTokenizer> tokenizer(new BertTokenizer());
  while (!vocabulary.empty()) {
    const std::size_t newline = vocabulary.find('\n');
    std::string_view line = vocabulary.substr(0, newline);
    vocabulary.remove_prefix(newline == std::string_view::npos ? vocabulary.size() : newline + 1);
    if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
    const auto id = static_cast<std::int64_t>(tokenizer->tokens_.size());
    const bool inner = line.size() > 2 && line.substr(0, 2) == "##";
    auto& map = inner ? tokenizer->inner_ : tokenizer->first_;
    if (!map.emplace(inner ? line.substr(2) : line, id).second) {
      return absl::InvalidArgumentError(
          fmt::format("vocabulary, line {}: token \"{}\" occurs twice", id + 1, line));
    }
    tokenizer->tokens_.emplace_back(line);
  }
  const auto find = [&](std::string_view token, std::int64_t& id) -> absl::Status {
    const auto it = tokenizer->first_.find(std::string(token));
    if (it == tokenizer->first_.end()) {
      return absl::InvalidArgumentError(fmt::format("vocabulary: token \"{}\" is missing", token));
    }
    id = it->second;
    return absl::OkStatus();
  };
  FILO_RETURN_IF_ERROR(find("[CLS]", tokenizer->cls_));
  FILO_RETURN_IF_ERROR(find("[SEP]", tokenizer->sep_));
  FILO_RETURN_IF_ERROR(find("[UNK]", tokenizer->unk_));
  FILO_RETURN_IF_ERROR(find(".", tokenizer->period_));
  FILO_RETURN_IF_ERROR(find("?", tokenizer->question_));
  for (const char* token : {"[UNK]", "[SEP]", "[PAD]", "[CLS]", "[MASK]"}) {
    const auto it = tokenizer->first_.find(token);
    if (it != tokenizer->first_.end()) tokenizer->special_.emplace_back(FromUtf8(token), it->second);
  }
  return tokenizer;
}

absl::StatusOr<std::unique_ptr<const BertTokenizer>> BertTokenizer::Load(const std::string& path) {
  namespace fs = std::filesystem;
  std::error_code error;
  const fs::path file = fs::is_directory(path, error) ? fs::path(path) / "vocab.txt" : fs::path(path);
  std::ifstream in(file, std::ios::binary);
  if (!in) return absl::NotFoundError(fmt::format("cannot open tokenizer file {}", file.string()));
  const std::string bytes(std::istreambuf_iterator<char>(in), {});
  if (in.bad()) return absl::DataLossError(fmt::format("cannot read tokenizer file {}", file.string()));
  auto tokenizer = FromVocabulary(bytes);
  if (!tokenizer.ok()) return Annotate(tokenizer.status(), file.string());
  return tokenizer;
}

std::vector<std::int64_t> BertTokenizer::Encode(std::string_view text) const {
  const std::u32string all = FromUtf8(text);
  std::vector<std::int64_t> out = {cls_};
  std::size_t plain_from = 0;
  for (std::size_t at = 0; at < all.size();) {
    const auto special =
        all[at] != U'[' ? special_.end()
                        : std::find_if(special_.begin(), special_.end(), [&](const auto& token) {
                            return std::u32string_view(all).substr(at, token.first.size()) == token.first;
                          });
    if (special == special_.end()) {
      ++at;
      continue;
    }
    EncodePlain(std::u32string_view(all).substr(plain_from, at - plain_from), out);
    out.push_back(special->second);
    at += special->first.size();
    plain_from = at;
  }
  EncodePlain(std::u32string_view(all).substr(plain_from), out);
  out.push_back(sep_);
  return out;
}

void BertTokenizer::EncodePlain(std::u32string_view text, std::vector<std::int64_t>& out) const {
  const std::u32string normalised = Normalised(text);
  std::u32string_view rest = normalised;
  while (!rest.empty()) {
    if (IsWhiteSpace(rest[0])) {
      rest.remove_prefix(1);
      continue;
    }
    std::size_t length = 1;
    if (!IsBertPunctuation(rest[0])) {
      while (length < rest.size() && !IsWhiteSpace(rest[length]) && !IsBertPunctuation(rest[length]))
        ++length;
    }
    EncodeWord(rest.substr(0, length), out);
    rest.remove_prefix(length);
  }
}

void BertTokenizer::EncodeWord(std::u32string_view word, std::vector<std::int64_t>& out) const {
  if (word.size() > kMaxWordCharacters) {
    out.push_back(unk_);
    return;
  }
  const std::size_t before = out.size();
  for (std::size_t from = 0; from < word.size();) {
    const auto& pieces = from == 0 ? first_ : inner_;
    std::size_t length = word.size() - from;
    auto found = pieces.end();
    for (; length > 0; --length) {
      found = pieces.find(ToUtf8(word.substr(from, length)));
      if (found != pieces.end()) break;
    }
    if (found == pieces.end()) {
      out.resize(before);
      out.push_back(unk_);
      return;
    }
    out.push_back(found->second);
    from += length;
  }
}

std::string BertTokenizer::Decode(std::span<const std::int64_t> ids) const {
  std::string text;
  bool first = true;
  for (const std::int64_t id : ids) {
    const std::string_view token = Token(id);
    if (token.empty()) continue;
    // A piece that begins the text keeps its "##".
    if (first) {
      text += token;
    } else if (token.substr(0, 2) == "##") {
      text += token.substr(2);
    } else {
      text += ' ';
      text += token;
    }
    first = false;
  }
  for (const auto& [from, to] : std::initializer_list<std::pair<const char*, const char*>>{{" .", "."},
                                                                                           {" ?", "?"},
                                                                                           {" !", "!"},
                                                                                           {" ,", ","},
                                                                                           {" ' ", "'"},
                                                                                           {" n't", "n't"},
                                                                                           {" 'm", "'m"},
                                                                                           {" 's", "'s"},
                                                                                           {" 've", "'ve"},
                                                                                           {" 're", "'re"}}) {
    ReplaceAll(text, from, to);
  }
  return text;
}

std::string_view BertTokenizer::Token(std::int64_t id) const {
  return id >= 0 && id < vocabulary_size() ? std::string_view(tokens_[static_cast<std::size_t>(id)])
                                           : std::string_view();
}

}  // namespace filo::text
