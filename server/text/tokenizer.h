// What the two tokenizers have in common, so that prompts can be made for a CLIP or a BERT text tower alike.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace filo::text {

// Immutable after creation and thread-safe.
class Tokenizer {
 public:
  virtual ~Tokenizer() = default;

  // Token ids of `text` between the start and the end token, without padding and never cut; at least 2 long.
  // Any bytes are accepted: ill-formed UTF-8 reads as U+FFFD.
  virtual std::vector<std::int64_t> Encode(std::string_view text) const = 0;

  virtual std::int64_t start_token() const = 0;  // CLIP 49406 <|startoftext|>, BERT 101 [CLS]
  virtual std::int64_t end_token() const = 0;    // CLIP 49407 <|endoftext|>, BERT 102 [SEP]
  virtual std::int64_t vocabulary_size() const = 0;
};

// What the reference does to a sequence that is longer than the tower reads: the first `context_length` ids
// stay and the last of them becomes `end_token`. The product itself refuses instead (prompts.h:
// EncodePrompt).
std::vector<std::int64_t> CutLikeReference(std::vector<std::int64_t> ids, std::size_t context_length,
                                           std::int64_t end_token);

}  // namespace filo::text
