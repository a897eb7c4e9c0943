// A bundle described for people and for programs: what `filo-bundle inspect` prints.
#pragma once

#include <string>

#include "nlohmann/json.hpp"
#include "server/bundle/bundle.h"

namespace filo::bundle {

// Name, digest, profile, sizes, provenance, licences, number of parameters; a few dozen lines. `tensors`: one
// more line for each tensor.
std::string DescribeBundle(const Bundle& bundle, bool tensors);

// {"digest": ..., "manifest": {...}, "tensors": {role: {name: {"dtype": ..., "shape": [...]}}}}
nlohmann::ordered_json DescribeBundleJson(const Bundle& bundle);

}  // namespace filo::bundle
