#include "server/bundle/strict_json.h"

#include <set>
#include <vector>

#include "fmt/format.h"

namespace filo::bundle {

using Json = nlohmann::json;

absl::StatusOr<Json> ParseStrictJson(std::string_view text, int max_depth) {
  std::string problem;
  std::vector<std::set<std::string>> keys;  // of the objects that are open, by depth
  const auto check = [&](int depth, Json::parse_event_t event, Json& parsed) {
    const bool opens =
        event == Json::parse_event_t::object_start || event == Json::parse_event_t::array_start;
    if (opens && depth >= max_depth) problem = "is nested too deeply";
    if (event == Json::parse_event_t::object_start && problem.empty()) {
      keys.resize(static_cast<std::size_t>(depth));
      keys.emplace_back();
    }
    if (event == Json::parse_event_t::key && problem.empty()) {
      keys.resize(static_cast<std::size_t>(depth));
      if (!keys.back().insert(parsed.get<std::string>()).second) {
        problem = fmt::format("names {} twice", Shown(parsed.get<std::string>()));
      }
    }
    return problem.empty();
  };
  Json json = Json::parse(text, check, /*allow_exceptions=*/false);
  if (!problem.empty()) return absl::InvalidArgumentError(problem);
  if (!json.is_object()) return absl::InvalidArgumentError("is not a JSON object");
  return json;
}

std::string Shown(std::string_view text) {
  constexpr std::size_t kMost = 100;
  if (text.size() <= kMost) return std::string(text);
  std::size_t cut = kMost;
  while (cut > 0 && (static_cast<unsigned char>(text[cut]) & 0xC0u) == 0x80u) --cut;
  return fmt::format("{}… ({} bytes)", text.substr(0, cut), text.size());
}

}  // namespace filo::bundle
