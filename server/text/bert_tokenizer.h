// BERT's WordPiece for an uncased vocabulary, as Hugging Face's BertTokenizerFast does it (which Grounding
// DINO uses).
//
// Text is cleaned of control characters, CJK characters are set apart, accents stripped, lower-cased, split
// at white space and punctuation, and each word cut greedily into the longest pieces of the vocabulary; a
// word that cannot be cut so, or is longer than 100 characters, is [UNK]. "[CLS]", "[SEP]", "[UNK]", "[PAD]"
// and "[MASK]" in the text are the special tokens themselves.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "absl/status/statusor.h"
#include "server/text/tokenizer.h"

namespace filo::text {

class BertTokenizer : public Tokenizer {
 public:
  // `path` is vocab.txt (one token a line, line number = id), or a folder that holds it. Errors: kNotFound;
  // kInvalidArgument naming the file and what is missing or doubled.
  static absl::StatusOr<std::unique_ptr<const BertTokenizer>> Load(const std::string& path);
  static absl::StatusOr<std::unique_ptr<const BertTokenizer>> FromVocabulary(std::string_view vocabulary);

  std::vector<std::int64_t> Encode(std::string_view text) const override;
  std::int64_t start_token() const override { return cls_; }
  std::int64_t end_token() const override { return sep_; }
  std::int64_t vocabulary_size() const override { return static_cast<std::int64_t>(tokens_.size()); }

  // Text of `ids`: pieces glued, words joined by spaces, then the reference's clean-up of spaces before
  // punctuation and contractions. Special tokens stay in. Ids outside the vocabulary are skipped.
  std::string Decode(std::span<const std::int64_t> ids) const;

  // "hazel", "##nut"; empty for an id outside the vocabulary.
  std::string_view Token(std::int64_t id) const;
  // A special token of grounding captions, which ends a phrase: [CLS], [SEP], "." or "?" (spec section 10).
  bool EndsPhrase(std::int64_t id) const {
    return id == cls_ || id == sep_ || id == period_ || id == question_;
  }

 private:
  BertTokenizer() = default;
  void EncodePlain(std::u32string_view text, std::vector<std::int64_t>& out) const;
  void EncodeWord(std::u32string_view word, std::vector<std::int64_t>& out) const;

  std::vector<std::string> tokens_;
  std::unordered_map<std::string, std::int64_t> first_;  // tokens that begin a word
  std::unordered_map<std::string, std::int64_t> inner_;  // tokens written with "##", without it
  std::vector<std::pair<std::u32string, std::int64_t>> special_;
  std::int64_t cls_ = 0, sep_ = 0, unk_ = 0, period_ = 0, question_ = 0;
};

}  // namespace filo::text
