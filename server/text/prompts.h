// The prompts of a category (spec sections 2 and 3): text templates in, sentences and token ids out.
//
// A sentence here is what follows the learned context vectors: "flawless hazelnut.", "broken hazelnut at top
// left.". Pure functions, thread-safe.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "server/bundle/manifest.h"
#include "server/category/category.h"
#include "server/text/tokenizer.h"

namespace filo::text {

// The states in words without the final ".": the category's own, or the bundle's where it has none.
std::vector<std::string> NormalStates(const bundle::Prompts& prompts, const category::Category& category);
// First every description in every description template (description-major), then the general abnormal
// states.
std::vector<std::string> AbnormalStates(const bundle::Prompts& prompts, const category::Category& category);

// One sentence per normal state.
std::vector<std::string> NormalPrompts(const bundle::Prompts& prompts, const category::Category& category);

// One sentence per abnormal state at one position (index into prompts.positions), or without a position if
// none.
std::vector<std::string> AbnormalPrompts(const bundle::Prompts& prompts, const category::Category& category,
                                         std::optional<int> position);

// All positions: state-major, position-minor (index = state * positions + position).
std::vector<std::string> AbnormalPromptsEverywhere(const bundle::Prompts& prompts,
                                                   const category::Category& category);

// "X X ... X " + sentence: what is tokenised; the embeddings of tokens 1 .. context_vectors are then replaced
// by the learned vectors.
std::string WithContext(int context_vectors, std::string_view sentence);

// Ids of WithContext(context_vectors, sentence), without padding. A sentence that does not fit into
// `context_length` tokens is kInvalidArgument on `field`, naming the sentence and how many tokens are too
// many; nothing is cut.
absl::StatusOr<std::vector<std::int64_t>> EncodePrompt(const Tokenizer& tokenizer, int context_vectors,
                                                       std::string_view sentence, int context_length,
                                                       std::string_view field = "category");

// Every prompt of the category fits (checks all positions). `field` is the path of the category in the
// caller's terms.
absl::Status CheckPrompts(const Tokenizer& tokenizer, const bundle::Prompts& prompts, int context_length,
                          const category::Category& category, std::string_view field = "category");

}  // namespace filo::text
