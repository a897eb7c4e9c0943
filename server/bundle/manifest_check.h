// Rules between several keys of a manifest, whose single values are in range already. Private to manifest.cc.
#pragma once

#include "absl/status/status.h"
#include "server/bundle/manifest.h"

namespace filo::bundle {

// The parts agree with each other: heads divide widths, taps exist, the profile has the parts it needs.
absl::Status CheckAgreement(const Manifest& manifest);
// The list of files is complete and safe to open.
absl::Status CheckFiles(const Manifest& manifest);

}  // namespace filo::bundle
