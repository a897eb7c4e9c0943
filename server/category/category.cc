#include "server/category/category.h"

#include <cstdint>

#include "server/base/sha256.h"

namespace filo::category {
namespace {

// Length first, so that no two lists give the same bytes.
void AppendNumber(std::string& bytes, std::size_t value) {
  for (int i = 0; i < 8; ++i)
    bytes.push_back(static_cast<char>(static_cast<std::uint64_t>(value) >> (8 * i)));
}

void Append(std::string& bytes, const std::string& text) {
  AppendNumber(bytes, text.size());
  bytes += text;
}

void Append(std::string& bytes, const std::vector<std::string>& list) {
  AppendNumber(bytes, list.size());
  for (const std::string& text : list) Append(bytes, text);
}

}  // namespace

std::string DefinitionDigest(const Category& category) {
  std::string bytes = "filo.category.1";
  Append(bytes, category.class_name);
  for (const auto* list : {&category.descriptions, &category.grounding_descriptions, &category.normal_states,
                           &category.abnormal_states, &category.harmless_phrases}) {
    Append(bytes, *list);
  }
  return Sha256Hex(bytes);
}

}  // namespace filo::category
