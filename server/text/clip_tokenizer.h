// CLIP's byte-pair encoding (OpenAI's simple tokenizer: 49152 merges and bytes, two special tokens).
//
// Input: any text; it is cleaned first (text_cleanup.h). Output: ids in [0, vocabulary_size()). Words are
// found by the reference's pattern: contractions, runs of letters, single digits, runs of anything else but
// white space. A literal "<start_of_text>" or "<end_of_text>" in the text (in any case) becomes the special
// token itself, as in FiLo's code, and hides what follows from the text tower: validation refuses such texts
// before they come here.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "absl/status/statusor.h"
#include "server/text/tokenizer.h"

namespace filo::text {

class ClipTokenizer : public Tokenizer {
 public:
  // `path` is OpenAI's bpe_simple_vocab_16e6.txt(.gz), or a folder of Hugging Face's with vocab.json and
  // merges.txt, or one of these two files beside the other. Errors: kNotFound; kInvalidArgument naming the
  // file and the line.
  static absl::StatusOr<std::unique_ptr<const ClipTokenizer>> Load(const std::string& path);
  // The merges file in memory, plain or gzip.
  static absl::StatusOr<std::unique_ptr<const ClipTokenizer>> FromMerges(std::string_view merges);
  static absl::StatusOr<std::unique_ptr<const ClipTokenizer>> FromVocabularyAndMerges(
      std::string_view vocabulary_json, std::string_view merges);

  std::vector<std::int64_t> Encode(std::string_view text) const override;
  std::int64_t start_token() const override { return start_; }
  std::int64_t end_token() const override { return end_; }
  std::int64_t vocabulary_size() const override { return size_; }

 private:
  struct Merge {
    std::int32_t rank;
    std::int32_t id;
  };
  using Ids = std::unordered_map<std::string, std::int32_t>;

  ClipTokenizer() = default;
  absl::Status Build(const Ids& ids, const std::vector<std::pair<std::string, std::string>>& merges);
  void EncodeWord(std::string_view bytes, std::vector<std::int64_t>& out) const;

  std::array<std::int32_t, 256> inner_{};            // id of a byte inside a word
  std::array<std::int32_t, 256> last_{};             // id of a byte that ends a word
  std::unordered_map<std::uint64_t, Merge> merges_;  // (left id << 32 | right id)
  std::int32_t start_ = 0;
  std::int32_t end_ = 0;
  std::int32_t size_ = 0;
};

}  // namespace filo::text
