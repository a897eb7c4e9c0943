// A load run as one self-contained HTML page.
#pragma once

#include <string>

#include "nlohmann/json.hpp"

namespace filo::client {

// `run` as LoadJson makes it.
std::string LoadReportHtml(const nlohmann::json& run);

}  // namespace filo::client
