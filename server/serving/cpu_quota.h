// How many cores this process may really use: a container's quota, not the host's cores.
#pragma once

#include <string>

namespace filo::serving {

struct CpuQuota {
  int cores = 1;       // at least 1
  std::string source;  // in words, for the log: "cpu.max 350000 100000 (cgroup v2)"
};

// The smallest of the scheduler's affinity mask (which cpusets set) and the floor of the CPU quota of this
// process's cgroup and all above it, version 2 (cpu.max) or 1 (cpu.cfs_quota_us). `root` stands before every
// path; for tests.
CpuQuota ReadCpuQuota(const std::string& root = "");

// How requests share the cores.
struct ThreadPlan {
  int workers = 1;             // requests computed at a time
  int threads_per_worker = 1;  // threads that share one request's work
};

// `workers` 0: one request at a time gets all cores (shortest latency). More: the cores are divided evenly
// (more throughput when requests are many); capped at the cores.
ThreadPlan PlanThreads(int cores, int workers);

}  // namespace filo::serving
