// Descriptions of likely defects by product and material, in this project's own words: what is proposed for a
// new category when no language model is at hand. Covers the classes of MVTec AD and VisA among others. Pure
// functions, thread-safe.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace filo::category {

// One kind of product or material. All texts are lower case and fit the grounding caption well: two to five
// words.
struct ProductKind {
  std::string_view name;                           // "glass", "printed circuit board"
  std::span<const std::string_view> keywords;      // words that point to it, singular: "bottle", "vial"
  std::span<const std::string_view> descriptions;  // the likeliest first
};

// All kinds: products first, then materials, then one for anything ("object").
std::span<const ProductKind> ProductKinds();

struct Proposal {
  std::vector<std::string> descriptions;  // without repeats, at most `max_descriptions`
  std::vector<std::string> kinds;         // names of the kinds they come from, never empty
};

// Proposes for a product ("metal nut", "pcb4") and, if known, a material or kind ("glass"). Kinds are found
// by whole words of both, plurals and trailing numbers included; several kinds take turns, products before
// materials. Without a match the general kind answers.
Proposal ProposeDescriptions(std::string_view class_name, std::string_view material,
                             std::size_t max_descriptions);

}  // namespace filo::category
