// Reads the JSON-lines files of tests/goldens.
#pragma once

#include <gtest/gtest.h>

#include <fstream>
#include <string>
#include <vector>

#include "nlohmann/json.hpp"

namespace filo {

inline std::vector<nlohmann::json> GoldenLines(const std::string& name) {
  std::ifstream in(std::string(FILO_GOLDENS) + "/" + name);
  EXPECT_TRUE(in) << name;
  std::vector<nlohmann::json> lines;
  for (std::string line; std::getline(in, line);) lines.push_back(nlohmann::json::parse(line));
  EXPECT_FALSE(lines.empty()) << name;
  return lines;
}

}  // namespace filo
