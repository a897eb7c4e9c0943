#include "server/telemetry/process_collector.h"

#include <sys/resource.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <sstream>
#include <string>

namespace filo::telemetry {
namespace {

using prometheus::MetricFamily;
using prometheus::MetricType;

MetricFamily Family(const std::string& name, const std::string& help, MetricType type, double value) {
  MetricFamily family;
  family.name = name;
  family.help = help;
  family.type = type;
  prometheus::ClientMetric metric;
  if (type == MetricType::Counter) {
    metric.counter.value = value;
  } else {
    metric.gauge.value = value;
  }
  family.metric.push_back(std::move(metric));
  return family;
}

struct Stat {
  double threads = 0;
  double start_ticks = 0;
};

// Fields of /proc/self/stat, counted behind the command name, which may itself hold blanks and brackets.
std::optional<Stat> ReadStat() {
  std::ifstream file("/proc/self/stat");
  const std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  const std::size_t end = text.rfind(')');
  if (end == std::string::npos) return std::nullopt;
  std::istringstream rest(text.substr(end + 1));
  const std::vector<std::string> fields((std::istream_iterator<std::string>(rest)),
                                        std::istream_iterator<std::string>());
  constexpr std::size_t kThreads = 17;    // field 20 of proc(5), the state being field 3
  constexpr std::size_t kStartTime = 19;  // field 22
  if (fields.size() <= kStartTime) return std::nullopt;
  return Stat{std::stod(fields[kThreads]), std::stod(fields[kStartTime])};
}

std::optional<double> BootTime() {
  std::ifstream file("/proc/stat");
  std::string word;
  double value = 0;
  while (file >> word) {
    if (word == "btime" && file >> value) return value;
  }
  return std::nullopt;
}

std::optional<double> ResidentBytes() {
  std::ifstream file("/proc/self/statm");
  double total = 0;
  double resident = 0;
  if (!(file >> total >> resident)) return std::nullopt;
  return resident * static_cast<double>(sysconf(_SC_PAGESIZE));
}

std::optional<double> OpenDescriptors() {
  std::error_code error;
  const std::filesystem::directory_iterator entries("/proc/self/fd", error);
  if (error) return std::nullopt;
  return static_cast<double>(std::distance(begin(entries), end(entries))) -
         1;  // without the one that lists them
}

}  // namespace

std::vector<MetricFamily> ProcessCollector::Collect() const {
  std::vector<MetricFamily> families;
  rusage usage{};
  if (getrusage(RUSAGE_SELF, &usage) == 0) {
    const double seconds = static_cast<double>(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
                           static_cast<double>(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1e-6;
    families.push_back(Family("process_cpu_seconds_total", "CPU time, user and system, seconds.",
                              MetricType::Counter, seconds));
  }
  if (const auto bytes = ResidentBytes()) {
    families.push_back(
        Family("process_resident_memory_bytes", "Resident memory, bytes.", MetricType::Gauge, *bytes));
  }
  if (const auto descriptors = OpenDescriptors()) {
    families.push_back(Family("process_open_fds", "Open file descriptors.", MetricType::Gauge, *descriptors));
  }
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
    families.push_back(Family("process_max_fds", "Most file descriptors that may be open.", MetricType::Gauge,
                              static_cast<double>(limit.rlim_cur)));
  }
  if (const auto stat = ReadStat()) {
    families.push_back(
        Family("process_threads", "Threads of the process.", MetricType::Gauge, stat->threads));
    if (const auto boot = BootTime()) {
      families.push_back(Family("process_start_time_seconds", "Start of the process, seconds since 1970.",
                                MetricType::Gauge,
                                *boot + stat->start_ticks / static_cast<double>(sysconf(_SC_CLK_TCK))));
    }
  }
  return families;
}

}  // namespace filo::telemetry
