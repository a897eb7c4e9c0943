// Sets of characters as sorted ranges, for the data of mojibake.cc and mojibake_rules.cc.
#pragma once

#include <algorithm>
#include <iterator>
#include <span>

namespace filo::text {

struct Range {
  char16_t first, last;
};

inline bool In(std::span<const Range> ranges, char32_t c) {
  const auto it = std::upper_bound(ranges.begin(), ranges.end(), c,
                                   [](char32_t value, const Range& range) { return value < range.first; });
  return it != ranges.begin() && c <= std::prev(it)->last;
}

}  // namespace filo::text
