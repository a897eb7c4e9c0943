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

// The two lists of the authors' code, which differ in one capital.
inline category::Category Hazelnut() {
  category::Category category;
  category.name = category.class_name = "hazelnut";
  category.descriptions = {"fungal growth",
                           "Unusual discoloration",
                           "rotten or foul odor emanating",
                           "insect infestation",
                           "wetness",
                           "misshapen shell",
                           "unusually thin",
                           "contaminants",
                           "unusual texture"};
  category.grounding_descriptions = category.descriptions;
  category.grounding_descriptions[1] = "unusual discoloration";
  return category;
}

}  // namespace filo::detection
