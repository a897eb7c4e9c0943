// The named character references of HTML 5. Pure functions, thread-safe.
#pragma once

#include <optional>
#include <string_view>

namespace filo::text {

// UTF-8 text of the reference called `name`, written as after the "&": "eacute;", or "eacute" for the old
// names that need no semicolon.
std::optional<std::string_view> HtmlEntity(std::string_view name);

}  // namespace filo::text
