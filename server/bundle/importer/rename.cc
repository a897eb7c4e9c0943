#include "server/bundle/importer/rename.h"

#include <charconv>
#include <vector>

#include "fmt/format.h"

namespace filo::bundle::importer {
namespace {

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

bool Matches(std::string_view pattern, std::string_view name, std::vector<std::string_view>& captures) {
  captures.clear();
  std::size_t at = 0;
  for (const char c : pattern) {
    if (c == '*') {
      captures.push_back(name.substr(at));
      return true;
    }
    if (c == '#') {
      std::size_t end = at;
      while (end < name.size() && IsDigit(name[end])) ++end;
      if (end == at) return false;
      captures.push_back(name.substr(at, end - at));
      at = end;
      continue;
    }
    if (at >= name.size() || name[at] != c) return false;
    ++at;
  }
  return at == name.size();
}

std::string Substitute(std::string_view to, const std::vector<std::string_view>& captures) {
  std::string result;
  for (std::size_t i = 0; i < to.size(); ++i) {
    if (to[i] != '$') {
      result += to[i];
      continue;
    }
    const std::string_view capture = captures[static_cast<std::size_t>(to[++i] - '1')];
    const bool shifted = i + 2 < to.size() && (to[i + 1] == '+' || to[i + 1] == '-') && IsDigit(to[i + 2]);
    if (!shifted) {
      result += capture;
      continue;
    }
    int number = 0;
    std::from_chars(capture.data(), capture.data() + capture.size(), number);
    const int by = to[i + 2] - '0';
    result += fmt::to_string(to[i + 1] == '+' ? number + by : number - by);
    i += 2;
  }
  return result;
}

}  // namespace

std::optional<std::string> Apply(std::span<const Rename> rules, std::string_view name) {
  std::vector<std::string_view> captures;
  for (const Rename& rule : rules) {
    if (Matches(rule.from, name, captures)) return Substitute(rule.to, captures);
  }
  return std::nullopt;
}

}  // namespace filo::bundle::importer
