// Line charts as inline SVG.
#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace filo::client {

struct ChartLine {
  std::string name;
  std::string colour;  // CSS
  std::vector<std::pair<double, double>> points;
};

struct ChartOptions {
  std::string x_label;
  bool log_y = false;
  bool log_x = false;  // x is drawn by its logarithm
  std::function<std::string(double)> format_x, format_y;
  std::vector<double> x_ticks;  // empty = chosen
  int height = 300;
};

// Axes, grid, lines and a legend; an empty string if there are no points. Points that a log scale cannot show
// are left out.
std::string LineChart(const std::vector<ChartLine>& lines, const ChartOptions& options);

// "1 / 2 / 5 x 10^n" steps that cut [low, high] into about `count` pieces.
std::vector<double> NiceTicks(double low, double high, int count);

}  // namespace filo::client
