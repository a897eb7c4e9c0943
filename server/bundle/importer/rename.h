// Rules from one naming scheme to another.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace filo::bundle::importer {

// In `from`, '#' stands for a number and '*' (only at the end) for any rest; in `to`, $1, $2, ... stand for
// what the first, second, ... of them matched, and $1+1 or $1-3 for a shifted number.
struct Rename {
  std::string_view from;
  std::string_view to;
};

// The first rule that matches the whole name, applied; nothing if none does.
std::optional<std::string> Apply(std::span<const Rename> rules, std::string_view name);

}  // namespace filo::bundle::importer
