// The frame of a self-contained HTML page: no script or style is fetched, so it opens from a mail or a USB
// stick.
#pragma once

#include <string>
#include <string_view>

namespace filo::client {

std::string EscapeHtml(std::string_view text);

// data:image/jpeg;base64,…
std::string DataUri(std::string_view mime_type, std::string_view bytes);

// A whole page. `head_line` is the line under the title (HTML); `body` HTML; `script` JavaScript, may be
// empty.
std::string Page(std::string_view title, std::string_view head_line, std::string_view body,
                 std::string_view script);

// JSON made safe for a <script> element.
std::string ScriptJson(std::string json);

}  // namespace filo::client
