#include "client/load/hgrm.h"

#include <bit>
#include <cmath>
#include <vector>

#include "fmt/format.h"

namespace filo::client {
namespace {

struct Bucket {
  std::int64_t high;
  std::uint64_t count;
};

// The next level of HdrHistogram's percentile iterator: the step halves each time the distance to 100 %
// halves.
double NextLevel(double level, int ticks) {
  const double halvings = std::floor(std::log2(100.0 / (100.0 - level))) + 1;
  return level + 100.0 / (ticks * std::exp2(halvings));
}

std::string Line(double value, double level, std::uint64_t seen, bool last) {
  std::string line = fmt::format("{:12.3f} {:2.12f} {:10d}", value, level / 100.0, seen);
  if (!last) line += fmt::format(" {:14.2f}", 1.0 / (1.0 - level / 100.0));
  return line + "\n";
}

}  // namespace

std::string ToHgrm(const Histogram& histogram, double unit, int ticks_per_half_distance) {
  std::string out =
      fmt::format("{:>12} {:>14} {:>10} {:>14}\n\n", "Value", "Percentile", "TotalCount", "1/(1-Percentile)");
  std::vector<Bucket> buckets;
  histogram.ForEach([&](std::int64_t, std::int64_t high, std::uint64_t count) {
    buckets.push_back({high, count});
  });

  const auto total = static_cast<double>(histogram.Count());
  std::uint64_t seen = 0;
  double level = 0;
  for (const Bucket& bucket : buckets) {
    seen += bucket.count;
    const double percentile = 100.0 * static_cast<double>(seen) / total;
    while (percentile >= level && level < 100.0) {
      out += Line(static_cast<double>(bucket.high) / unit, level, seen, false);
      const double next = NextLevel(level, ticks_per_half_distance);
      // Beyond double precision the level no longer moves; and nothing lies between the last value and 100 %.
      if (next <= level || seen == histogram.Count()) {
        level = seen == histogram.Count() ? 100.0 : next;
        break;
      }
      level = next;
    }
  }
  if (!buckets.empty()) out += Line(static_cast<double>(buckets.back().high) / unit, 100.0, seen, true);

  const std::int64_t top = std::max<std::int64_t>(histogram.Max(), 1);
  const int bucket_count =
      std::max(1, static_cast<int>(std::bit_width(static_cast<std::uint64_t>(top))) - histogram.Precision());
  out += fmt::format("#[Mean    = {:12.3f}, StdDeviation   = {:12.3f}]\n", histogram.Mean() / unit,
                     histogram.StdDeviation() / unit);
  out += fmt::format("#[Max     = {:12.3f}, Total count    = {:12d}]\n",
                     static_cast<double>(histogram.Max()) / unit, histogram.Count());
  out +=
      fmt::format("#[Buckets = {:12d}, SubBuckets     = {:12d}]\n", bucket_count, 2 << histogram.Precision());
  return out;
}

}  // namespace filo::client
