#include "server/category/description_library.h"

#include <algorithm>
#include <set>

#include "server/text/unicode.h"

namespace filo::category {
namespace {

#include "server/category/description_library.inc"

// The words of a text, lower case, without a trailing number ("pcb4") and, beside it, without a plural "s".
std::set<std::string> Words(std::string_view text) {
  std::set<std::string> words;
  std::string word;
  const std::string lower = text::ToUtf8(text::Lower(text::FromUtf8(text))) + " ";
  for (const char c : lower) {
    if ((c >= 'a' && c <= 'z') || static_cast<unsigned char>(c) >= 0x80) {
      word += c;
    } else if (!word.empty()) {
      words.insert(word);
      if (word.size() > 3 && word.back() == 's') {
        word.pop_back();
        words.insert(word);
      }
      if (word.size() > 3 && word.ends_with('e')) words.insert(word.substr(0, word.size() - 1));
      word.clear();
    }
  }
  return words;
}

bool Matches(const ProductKind& kind, const std::set<std::string>& words) {
  return std::any_of(kind.keywords.begin(), kind.keywords.end(),
                     [&](std::string_view keyword) { return words.contains(std::string(keyword)); });
}

}  // namespace

std::span<const ProductKind> ProductKinds() { return kKinds; }

Proposal ProposeDescriptions(std::string_view class_name, std::string_view material,
                             std::size_t max_descriptions) {
  std::set<std::string> words = Words(class_name);
  words.merge(Words(material));
  std::vector<const ProductKind*> kinds;
  for (const ProductKind& kind : kKinds) {
    if (Matches(kind, words)) kinds.push_back(&kind);
  }
  if (kinds.empty()) kinds.push_back(&kKinds[std::size(kKinds) - 1]);
  Proposal proposal;
  for (const ProductKind* kind : kinds) proposal.kinds.emplace_back(kind->name);
  std::set<std::string_view> seen;
  // In turn, the likeliest of each kind first.
  for (std::size_t rank = 0; proposal.descriptions.size() < max_descriptions; ++rank) {
    bool any = false;
    for (const ProductKind* kind : kinds) {
      if (rank >= kind->descriptions.size()) continue;
      any = true;
      const std::string_view description = kind->descriptions[rank];
      if (proposal.descriptions.size() < max_descriptions && seen.insert(description).second) {
        proposal.descriptions.emplace_back(description);
      }
    }
    if (!any) break;
  }
  return proposal;
}

}  // namespace filo::category
