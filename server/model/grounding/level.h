// The pyramid of feature maps that Grounding DINO's encoder and decoder look at, one behind another in one
// sequence.
#pragma once

#include <cstdint>
#include <vector>

namespace filo::model {

struct Level {
  std::int64_t rows = 0;
  std::int64_t columns = 0;

  std::int64_t tokens() const { return rows * columns; }
};

inline std::int64_t TotalTokens(const std::vector<Level>& levels) {
  std::int64_t total = 0;
  for (const Level& level : levels) total += level.tokens();
  return total;
}

}  // namespace filo::model
