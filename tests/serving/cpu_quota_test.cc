#include "server/serving/cpu_quota.h"

#include <sched.h>

#include <filesystem>
#include <fstream>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace filo::serving {
namespace {

// A file system of our own below `root`.
class CpuQuotaTest : public testing::Test {
 protected:
  void SetUp() override {
    root_ = testing::TempDir() + "cpu_quota_" + testing::UnitTest::GetInstance()->current_test_info()->name();
    std::filesystem::remove_all(root_);
    cpu_set_t set;
    CPU_ZERO(&set);
    ASSERT_EQ(sched_getaffinity(0, sizeof set, &set), 0);
    affinity_ = CPU_COUNT(&set);
  }
  void Write(const std::string& path, const std::string& text) {
    std::filesystem::create_directories(std::filesystem::path(root_ + path).parent_path());
    std::ofstream(root_ + path) << text;
  }
  std::string root_;
  int affinity_ = 0;
};

TEST_F(CpuQuotaTest, WithoutGroupsTheAffinityMaskCounts) {
  EXPECT_EQ(ReadCpuQuota(root_).cores, affinity_);
  EXPECT_EQ(ReadCpuQuota(root_).source, "affinity mask");
}

TEST_F(CpuQuotaTest, Version2TakesTheFloorAndAtLeastOne) {
  Write("/proc/self/cgroup", "0::/pod/box\n");
  Write("/sys/fs/cgroup/pod/box/cpu.max", "190000 100000\n");
  EXPECT_EQ(ReadCpuQuota(root_).cores, 1);
  EXPECT_THAT(ReadCpuQuota(root_).source,
              affinity_ > 1 ? testing::HasSubstr("190000") : testing::HasSubstr("mask"));
  Write("/sys/fs/cgroup/pod/box/cpu.max", "50000 100000\n");
  EXPECT_EQ(ReadCpuQuota(root_).cores, 1);
}

TEST_F(CpuQuotaTest, Version2MaxIsNoLimitButAParentMayBe) {
  Write("/proc/self/cgroup", "0::/pod/box\n");
  Write("/sys/fs/cgroup/pod/box/cpu.max", "max 100000\n");
  EXPECT_EQ(ReadCpuQuota(root_).cores, affinity_);
  Write("/sys/fs/cgroup/pod/cpu.max", "100000 100000\n");
  EXPECT_EQ(ReadCpuQuota(root_).cores, 1);
}

TEST_F(CpuQuotaTest, InsideAContainerTheMountIsTheGroup) {
  Write("/proc/self/cgroup", "0::/only/the/host/sees/this\n");
  Write("/sys/fs/cgroup/cpu.max", "100000 100000\n");
  EXPECT_EQ(ReadCpuQuota(root_).cores, 1);
}

TEST_F(CpuQuotaTest, Version1) {
  Write("/proc/self/cgroup", "5:memory:/x\n4:cpu,cpuacct:/docker/abc\n");
  Write("/sys/fs/cgroup/cpu,cpuacct/docker/abc/cpu.cfs_quota_us", "150000\n");
  Write("/sys/fs/cgroup/cpu,cpuacct/docker/abc/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(ReadCpuQuota(root_).cores, 1);
  Write("/sys/fs/cgroup/cpu,cpuacct/docker/abc/cpu.cfs_quota_us", "-1\n");
  EXPECT_EQ(ReadCpuQuota(root_).cores, affinity_);
}

TEST(ThreadPlanTest, DividesTheCores) {
  const auto plan = [](int cores, int workers) {
    const ThreadPlan made = PlanThreads(cores, workers);
    return std::pair(made.workers, made.threads_per_worker);
  };
  EXPECT_EQ(plan(8, 0), std::pair(1, 8));
  EXPECT_EQ(plan(8, 2), std::pair(2, 4));
  EXPECT_EQ(plan(8, 3), std::pair(3, 2));
  EXPECT_EQ(plan(2, 16), std::pair(2, 1));
  EXPECT_EQ(plan(0, 0), std::pair(1, 1));
}

}  // namespace
}  // namespace filo::serving
