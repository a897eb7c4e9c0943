#include "server/serving/cpu_quota.h"

#include <sched.h>

#include <algorithm>
#include <fstream>
#include <optional>
#include <sstream>

#include "fmt/format.h"

namespace filo::serving {
namespace {

std::optional<std::string> ReadLine(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  if (!std::getline(file, line)) return std::nullopt;
  return line;
}

struct Groups {
  std::optional<std::string> v2;  // path inside the hierarchy: "/kubepods/pod1"
  std::optional<std::string> v1_cpu;
};

// /proc/self/cgroup: "0::/path" is version 2, "4:cpu,cpuacct:/path" the cpu controller of version 1.
Groups OwnGroups(const std::string& root) {
  Groups groups;
  std::ifstream file(root + "/proc/self/cgroup");
  for (std::string line; std::getline(file, line);) {
    const std::size_t first = line.find(':');
    const std::size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = fmt::format(",{},", line.substr(first + 1, second - first - 1));
    if (controllers == ",,") groups.v2 = line.substr(second + 1);
    if (controllers.find(",cpu,") != std::string::npos) groups.v1_cpu = line.substr(second + 1);
  }
  return groups;
}

// Calls `visit` with the directory of the group and of each above it, the hierarchy's root included. Inside a
// container the group's path may not exist below the mount; the root then is the container's own group.
template <typename Visit>
void EachAncestor(const std::string& mount, std::string path, Visit visit) {
  while (!path.empty() && path != "/") {
    visit(mount + path);
    path.resize(path.rfind('/'));
  }
  visit(mount);
}

// Whole cores of a quota; nothing when it sets no limit.
std::optional<int> Cores(double quota, double period) {
  if (quota <= 0 || period <= 0) return std::nullopt;
  return std::max(1, static_cast<int>(quota / period));
}

void Lower(CpuQuota* least, std::optional<int> cores, const std::string& source) {
  if (cores.has_value() && *cores < least->cores) *least = CpuQuota{*cores, source};
}

}  // namespace

CpuQuota ReadCpuQuota(const std::string& root) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CpuQuota least;
  if (sched_getaffinity(0, sizeof set, &set) == 0) least.cores = std::max(1, CPU_COUNT(&set));
  least.source = "affinity mask";
  const Groups groups = OwnGroups(root);
  if (groups.v2.has_value()) {
    EachAncestor(root + "/sys/fs/cgroup", *groups.v2, [&](const std::string& directory) {
      const auto line = ReadLine(directory + "/cpu.max");
      if (!line.has_value()) return;
      std::istringstream words(*line);
      double quota = 0;
      double period = 100000;
      // "max 100000" sets no limit; reading the number then fails.
      if (words >> quota) {
        words >> period;
        Lower(&least, Cores(quota, period), fmt::format("cpu.max {} (cgroup v2)", *line));
      }
    });
  }
  if (groups.v1_cpu.has_value()) {
    for (const char* mount : {"/sys/fs/cgroup/cpu", "/sys/fs/cgroup/cpu,cpuacct"}) {
      EachAncestor(root + mount, *groups.v1_cpu, [&](const std::string& directory) {
        const auto quota = ReadLine(directory + "/cpu.cfs_quota_us");
        const auto period = ReadLine(directory + "/cpu.cfs_period_us");
        if (!quota.has_value() || !period.has_value()) return;
        Lower(&least, Cores(std::strtod(quota->c_str(), nullptr), std::strtod(period->c_str(), nullptr)),
              fmt::format("cfs_quota {} of {} us (cgroup v1)", *quota, *period));
      });
    }
  }
  return least;
}

ThreadPlan PlanThreads(int cores, int workers) {
  const int whole = std::max(1, cores);
  ThreadPlan plan;
  plan.workers = std::clamp(workers, 1, whole);
  plan.threads_per_worker = std::max(1, whole / plan.workers);
  return plan;
}

}  // namespace filo::serving
