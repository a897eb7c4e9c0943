#include "server/text/caption.h"

#include "fmt/format.h"
#include "server/base/status.h"
#include "server/text/unicode.h"

namespace filo::text {
namespace {

constexpr std::string_view kSeparator = " . ";
// Token positions that the reference lets into a phrase: (0, 255).
constexpr std::size_t kPhraseEnd = 255;

std::string Join(std::span<const std::string> words) {
  std::string joined;
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (i > 0) joined += kSeparator;
    joined += words[i];
  }
  return joined;
}

std::string Prepared(std::string_view text) {
  const std::u32string lower = Lower(FromUtf8(text));
  std::string out = ToUtf8(Strip(lower));
  if (out.empty() || out.back() != '.') out += '.';
  return out;
}

std::size_t TokensOf(const BertTokenizer& tokenizer, std::span<const std::string> words) {
  return tokenizer.Encode(CaptionText(words)).size();
}

}  // namespace

std::vector<std::string> GroundingWords(const bundle::Prompts& prompts, const category::Category& category) {
  std::vector<std::string> words = prompts.general_words;
  const auto& own =
      category.grounding_descriptions.empty() ? category.descriptions : category.grounding_descriptions;
  words.insert(words.end(), own.begin(), own.end());
  return words;
}

std::vector<std::string> CaptionWords(const bundle::Prompts& prompts, const category::Category& category) {
  std::vector<std::string> words = GroundingWords(prompts, category);
  words.insert(words.end(), category.harmless_phrases.begin(), category.harmless_phrases.end());
  return words;
}

std::string CaptionText(std::span<const std::string> words) { return Prepared(Join(words)); }

Caption MakeCaption(const BertTokenizer& tokenizer, std::string_view text) {
  Caption caption;
  caption.text = Prepared(text);
  caption.ids = tokenizer.Encode(caption.text);
  const auto n = static_cast<std::int64_t>(caption.ids.size());
  caption.position_ids.assign(caption.ids.size(), 0);
  caption.attends.resize(caption.ids.size());
  // Every token sees itself; a token that ends a phrase joins all since the last one that did. The first and
  // the last token, [CLS] and [SEP], stay alone.
  for (std::int64_t i = 0; i < n; ++i) caption.attends[static_cast<std::size_t>(i)] = {i, i + 1};
  std::int64_t previous = 0;
  for (std::int64_t end = 1; end + 1 < n; ++end) {
    if (!tokenizer.EndsPhrase(caption.ids[static_cast<std::size_t>(end)])) continue;
    for (std::int64_t i = previous + 1; i <= end; ++i) {
      caption.attends[static_cast<std::size_t>(i)] = {previous + 1, end + 1};
      caption.position_ids[static_cast<std::size_t>(i)] = i - previous - 1;
    }
    previous = end;
  }
  return caption;
}

absl::StatusOr<Caption> MakeCaptionWithin(const BertTokenizer& tokenizer, std::span<const std::string> words,
                                          int max_tokens, std::string_view field) {
  Caption caption = MakeCaption(tokenizer, CaptionText(words));
  const auto limit = static_cast<std::size_t>(max_tokens);
  if (caption.ids.size() <= limit) return caption;
  std::size_t first = 0;
  while (first < words.size() && TokensOf(tokenizer, words.first(first + 1)) <= limit) ++first;
  return FieldError(
      field, first < words.size() ? words[first] : words.back(),
      fmt::format(
          "fit, with all words before it, into the grounding caption's {} tokens: the caption has {}, "
          "{} too many; shorten or remove descriptions",
          limit, caption.ids.size(), caption.ids.size() - limit));
}

absl::StatusOr<std::vector<Caption>> SplitCaption(const BertTokenizer& tokenizer,
                                                  std::span<const std::string> general_words,
                                                  std::span<const std::string> descriptions, int max_tokens,
                                                  std::string_view field) {
  std::vector<Caption> captions;
  const std::vector<std::string> general(general_words.begin(), general_words.end());
  std::vector<std::string> group = general;
  const auto limit = static_cast<std::size_t>(max_tokens);
  for (const std::string& description : descriptions) {
    group.push_back(description);
    if (TokensOf(tokenizer, group) <= limit) continue;
    if (group.size() > general.size() + 1) {
      group.pop_back();
      captions.push_back(MakeCaption(tokenizer, CaptionText(group)));
      group = general;
      group.push_back(description);
    }
    FILO_RETURN_IF_ERROR(MakeCaptionWithin(tokenizer, group, max_tokens, field).status());
  }
  FILO_ASSIGN_OR_RETURN(Caption last, MakeCaptionWithin(tokenizer, group, max_tokens, field));
  captions.push_back(std::move(last));
  return captions;
}

std::string DecodePhrase(const BertTokenizer& tokenizer, const Caption& caption,
                         std::span<const float> probabilities, float threshold) {
  std::vector<std::int64_t> ids;
  const std::size_t end = std::min({caption.ids.size(), probabilities.size(), kPhraseEnd});
  for (std::size_t i = 1; i < end; ++i) {
    if (probabilities[i] > threshold) ids.push_back(caption.ids[i]);
  }
  return tokenizer.Decode(ids);
}

}  // namespace filo::text
