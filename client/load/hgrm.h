// HdrHistogram's percentile distribution (.hgrm), the text that its plotting tools read.
#pragma once

#include <string>

#include "client/load/histogram.h"

namespace filo::client {

// Columns value, percentile (0 to 1), total count, 1/(1-percentile); `ticks_per_half_distance` lines for each
// halving of the distance to 100 %. Values are divided by `unit` (1e6: nanoseconds shown as milliseconds).
std::string ToHgrm(const Histogram& histogram, double unit = 1e6, int ticks_per_half_distance = 5);

}  // namespace filo::client
