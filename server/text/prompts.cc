#include "server/text/prompts.h"

#include "fmt/format.h"
#include "server/base/status.h"

namespace filo::text {
namespace {

constexpr std::string_view kDescription = "{description}";

// "{}" and "{description}" in `pattern` filled in, once: braces in what is put in mean nothing.
std::string Fill(std::string_view pattern, std::string_view class_name, std::string_view description) {
  std::string out;
  while (!pattern.empty()) {
    if (pattern.substr(0, 2) == "{}") {
      out += class_name;
      pattern.remove_prefix(2);
    } else if (pattern.substr(0, kDescription.size()) == kDescription) {
      out += description;
      pattern.remove_prefix(kDescription.size());
    } else {
      out += pattern[0];
      pattern.remove_prefix(1);
    }
  }
  return out;
}

std::string AtPosition(const std::string& state, const bundle::Prompts& prompts, std::size_t position) {
  return fmt::format("{} at {}.", state, prompts.positions[position]);
}

}  // namespace

std::vector<std::string> NormalStates(const bundle::Prompts& prompts, const category::Category& category) {
  std::vector<std::string> out;
  for (const std::string& state :
       category.normal_states.empty() ? prompts.normal_states : category.normal_states) {
    out.push_back(Fill(state, category.class_name, ""));
  }
  return out;
}

std::vector<std::string> AbnormalStates(const bundle::Prompts& prompts, const category::Category& category) {
  std::vector<std::string> out;
  for (const std::string& description : category.descriptions) {
    for (const std::string& pattern : prompts.description_templates) {
      out.push_back(Fill(pattern, category.class_name, description));
    }
  }
  for (const std::string& state :
       category.abnormal_states.empty() ? prompts.abnormal_states : category.abnormal_states) {
    out.push_back(Fill(state, category.class_name, ""));
  }
  return out;
}

std::vector<std::string> NormalPrompts(const bundle::Prompts& prompts, const category::Category& category) {
  std::vector<std::string> out = NormalStates(prompts, category);
  for (std::string& sentence : out) sentence += '.';
  return out;
}

std::vector<std::string> AbnormalPrompts(const bundle::Prompts& prompts, const category::Category& category,
                                         std::optional<int> position) {
  std::vector<std::string> out = AbnormalStates(prompts, category);
  for (std::string& sentence : out) {
    sentence = position.has_value() ? AtPosition(sentence, prompts, static_cast<std::size_t>(*position))
                                    : sentence + '.';
  }
  return out;
}

std::vector<std::string> AbnormalPromptsEverywhere(const bundle::Prompts& prompts,
                                                   const category::Category& category) {
  std::vector<std::string> out;
  for (const std::string& state : AbnormalStates(prompts, category)) {
    for (std::size_t position = 0; position < prompts.positions.size(); ++position) {
      out.push_back(AtPosition(state, prompts, position));
    }
  }
  return out;
}

std::string WithContext(int context_vectors, std::string_view sentence) {
  std::string out;
  for (int i = 0; i < context_vectors; ++i) out += "X ";
  out += sentence;
  return out;
}

absl::StatusOr<std::vector<std::int64_t>> EncodePrompt(const Tokenizer& tokenizer, int context_vectors,
                                                       std::string_view sentence, int context_length,
                                                       std::string_view field) {
  std::vector<std::int64_t> ids = tokenizer.Encode(WithContext(context_vectors, sentence));
  const auto limit = static_cast<std::size_t>(context_length);
  if (ids.size() > limit) {
    return FieldError(
        field, sentence,
        fmt::format("fit into the text tower's {} tokens: with {} learned vectors, start and end this prompt "
                    "has {}, {} too many",
                    limit, context_vectors, ids.size(), ids.size() - limit));
  }
  return ids;
}

absl::Status CheckPrompts(const Tokenizer& tokenizer, const bundle::Prompts& prompts, int context_length,
                          const category::Category& category, std::string_view field) {
  const auto check = [&](std::string_view sentence, std::string_view name) {
    const std::string path = fmt::format("{}.{}", field, name);
    return EncodePrompt(tokenizer, prompts.context_vectors, sentence, context_length, path).status();
  };
  for (const std::string& sentence : NormalPrompts(prompts, category)) {
    FILO_RETURN_IF_ERROR(check(sentence, "normal_states"));
  }
  const std::vector<std::string> abnormal = AbnormalPromptsEverywhere(prompts, category);
  const std::size_t per_description = prompts.description_templates.size() * prompts.positions.size();
  for (std::size_t i = 0; i < abnormal.size(); ++i) {
    const bool described = i < category.descriptions.size() * per_description;
    FILO_RETURN_IF_ERROR(check(abnormal[i], described ? fmt::format("descriptions[{}]", i / per_description)
                                                      : std::string("abnormal_states")));
  }
  return absl::OkStatus();
}

}  // namespace filo::text
