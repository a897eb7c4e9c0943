// The caption that Grounding DINO reads, with its per-phrase attention (spec sections 4 and 10), and phrases
// back from token probabilities. Pure functions, thread-safe.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "server/bundle/manifest.h"
#include "server/category/category.h"
#include "server/text/bert_tokenizer.h"

namespace filo::text {

// Tokens [begin, end) that one token may attend to.
struct TokenRange {
  std::int64_t begin = 0;
  std::int64_t end = 0;
};

struct Caption {
  std::string text;                        // lower-cased, stripped, ends in "."
  std::vector<std::int64_t> ids;           // [CLS] ... [SEP], T of them
  std::vector<std::int64_t> position_ids;  // T; restarts at 0 with every phrase
  std::vector<TokenRange> attends;         // T; the token's own phrase with its trailing "." (block-diagonal)
};

// General words, then the category's grounding descriptions (or descriptions): what is asked for and counted.
// Spaces and capitals stay as they are (spec section 9.6).
std::vector<std::string> GroundingWords(const bundle::Prompts& prompts, const category::Category& category);

// The words of the caption: GroundingWords, then the category's harmless phrases, which are found but not
// counted.
std::vector<std::string> CaptionWords(const bundle::Prompts& prompts, const category::Category& category);

// Words joined by " . ", lower-cased, stripped, ending in ".".
std::string CaptionText(std::span<const std::string> words);

// Tokens, positions and mask of a text as CaptionText makes it; any length. (The text is lower-cased,
// stripped and given its "." here as well, so that it may be anything.)
Caption MakeCaption(const BertTokenizer& tokenizer, std::string_view text);

// MakeCaption(CaptionText(words)), or, when that has more than `max_tokens` tokens, kInvalidArgument on
// `field` naming the first phrase that does not fit and how many tokens are too many; nothing is cut.
absl::StatusOr<Caption> MakeCaptionWithin(const BertTokenizer& tokenizer, std::span<const std::string> words,
                                          int max_tokens, std::string_view field = "category.descriptions");

// Groups of words (in order, none lost) whose captions each fit, as few as greedy filling gives; every group
// begins with `general_words`. kInvalidArgument if one word alone does not fit.
absl::StatusOr<std::vector<Caption>> SplitCaption(const BertTokenizer& tokenizer,
                                                  std::span<const std::string> general_words,
                                                  std::span<const std::string> descriptions, int max_tokens,
                                                  std::string_view field = "category.descriptions");

// Text of the caption's tokens whose probability is above `threshold` (strictly). The first position and
// those from 255 on never count. `probabilities` may be longer than the caption (padding), never shorter.
std::string DecodePhrase(const BertTokenizer& tokenizer, const Caption& caption,
                         std::span<const float> probabilities, float threshold);

}  // namespace filo::text
