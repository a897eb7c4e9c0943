// A product category as the arithmetic sees it (spec section 2). A plain value; immutable once shared.
#pragma once

#include <string>
#include <vector>

namespace filo::category {

struct Category {
  std::string name;        // resource id, e.g. "hazelnut"
  std::string class_name;  // in words, as the prompts use it: "hazelnut", "metal nut"
  // The class name in the grounding caption may differ from that in the prompts in `released` (spec
  // section 9.8); the descriptions may too. Empty: the same as class_name / descriptions.
  std::vector<std::string> descriptions;            // "crack in the shell", ...: prompts
  std::vector<std::string> grounding_descriptions;  // caption and counting; empty = descriptions
  // Empty = the bundle's.
  std::vector<std::string> normal_states;
  std::vector<std::string> abnormal_states;
  // Phrases that may be found without counting as a defect ("serial number"): part of the caption, compared
  // in lower case. Empty in all published results.
  std::vector<std::string> harmless_phrases;

  friend bool operator==(const Category&, const Category&) = default;
};

// SHA-256 (hex) over everything above but `name`: two categories with equal digests have equal text features.
std::string DefinitionDigest(const Category& category);

}  // namespace filo::category
