// The TINY golden bundles, opened, and the category that every golden was made with. Test code only.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "server/bundle/bundle.h"
#include "server/category/category.h"
#include "server/detection/pipeline.h"
#include "tests/support/golden_bundle.h"
#include "tests/support/hazelnut.h"

namespace filo::detection {

inline std::shared_ptr<const bundle::Bundle> OpenBundle(const std::string& directory) {
  auto opened = bundle::Bundle::Open(directory, {.check_digests = false});
  EXPECT_TRUE(opened.ok()) << opened.status();
  return *std::move(opened);
}

inline std::shared_ptr<const Networks> LoadNetworks(const std::string& directory) {
  auto networks = Networks::Load(OpenBundle(directory), at::kCPU, at::kFloat);
  EXPECT_TRUE(networks.ok()) << networks.status();
  return *std::move(networks);
}

inline std::unique_ptr<Pipeline> TinyPipeline(bundle::Profile profile, Options options = {}) {
  return std::make_unique<Pipeline>(LoadNetworks(support::TinyBundle(profile)), options);
}

using support::Hazelnut;

}  // namespace filo::detection
