#include "server/text/html_entities.h"

#include <algorithm>
#include <iterator>

namespace filo::text {
namespace {

struct Entity {
  std::string_view name;
  std::string_view text;
};

constexpr Entity kEntities[] = {
#include "server/text/html_entities.inc"
};

}  // namespace

std::optional<std::string_view> HtmlEntity(std::string_view name) {
  const auto* it =
      std::lower_bound(std::begin(kEntities), std::end(kEntities), name,
                       [](const Entity& entity, std::string_view wanted) { return entity.name < wanted; });
  if (it == std::end(kEntities) || it->name != name) return std::nullopt;
  return it->text;
}

}  // namespace filo::text
