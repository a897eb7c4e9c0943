// What a category may hold. Everything that comes from outside goes through here before it is stored or
// computed with. Errors are kInvalidArgument with a FieldViolation: the field's path, the value, what would
// be right. Pure functions, thread-safe.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "server/bundle/manifest.h"
#include "server/category/record.h"
#include "server/text/bert_tokenizer.h"
#include "server/text/tokenizer.h"

namespace filo::category {

inline constexpr std::size_t kMaxTextBytes = 200;     // class name, a description, a state, a phrase
inline constexpr std::size_t kMaxDescriptions = 200;  // and as many grounding descriptions
inline constexpr std::size_t kMaxStates = 50;         // of each kind
inline constexpr std::size_t kMaxHarmlessPhrases = 50;
inline constexpr std::size_t kMaxPolygons = 100;  // of each kind
inline constexpr std::size_t kMaxPolygonPoints = 1000;
inline constexpr std::size_t kMaxLabels = 32;
inline constexpr std::size_t kMaxLabelBytes = 100;

// 1 to 63 of a-z, 0-9 and "-", beginning with a letter.
absl::Status ValidateId(std::string_view id, std::string_view field);

// Lengths, counts and characters. `field` is the path of the definition ("category.definition",
// "inline_category"). A text must be UTF-8 with at least one letter or digit, without control, private-use or
// direction-changing characters, and must not contain what the tokenizers read as special tokens
// ("<end_of_text>", "[SEP]").
absl::Status ValidateDefinition(const Category& definition, std::string_view field);

// What the loaded bundle can read.
struct TextLimits {
  const bundle::Prompts* prompts = nullptr;
  const text::Tokenizer* prompt_tokenizer = nullptr;
  int context_length = 0;                                  // 77
  const text::BertTokenizer* caption_tokenizer = nullptr;  // null: the bundle has no grounding
  int max_caption_tokens = 0;                              // 256
};

// Every prompt and the caption fit; otherwise the error names the phrase and says how many tokens are too
// many.
absl::Status ValidateLengths(const Category& definition, const TextLimits& limits, std::string_view field);

// Ranges; polygons have 3 to 1000 finite corners, an area, and sides that do not cross.
absl::Status ValidateSettings(const InspectionSettings& settings, std::string_view field);

absl::Status ValidateLabels(const std::map<std::string, std::string>& labels, std::string_view field);

// All of the above but ValidateLengths, with the paths of a category request:
// "category.definition.class_name".
absl::Status ValidateRecord(const Record& record, std::string_view field = "category");

}  // namespace filo::category
