// Whole bundles made of the goldens' seeded random weights.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "server/bundle/manifest.h"
#include "tests/support/recipe.h"

namespace filo::support {

// Writes the bundle into the existing directory `directory`, tensor by tensor (FULL: 3.3 GB on disk, one
// tensor in memory), and checks every FULL tensor against tests/goldens/recipe/full_sha256.tsv. `progress` is
// called with the name of each tensor; may be null.
absl::Status WriteGoldenBundle(Size size, bundle::Profile profile, const std::string& directory,
                               const std::function<void(std::string_view)>& progress);

// The path of the TINY bundle, made once in the build tree and shared by all tests and processes. Never write
// into it: copy it first. Aborts when it cannot be made.
std::string TinyBundle(bundle::Profile profile);

}  // namespace filo::support
