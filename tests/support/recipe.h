// The seeded random weights that the goldens were made with (tests/goldens/README.md, "Weight recipe"), TINY
// and FULL, under the canonical names of a bundle (server/bundle/layout.md).
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "server/bundle/manifest.h"
#include "server/bundle/tensor_file.h"

namespace filo::support {

// One line of tests/goldens/recipe/{tiny,full}.tsv.
struct RecipeEntry {
  std::string file;  // "clip", "filo" or "gdino"
  std::string tensor;
  std::vector<std::int64_t> shape;
  float offset = 0;
  float scale = 0;
  std::string hash_name;
  bool half = false;  // rounded to F16 (TINY), else F32
};

enum class Size { kTiny, kFull };

// Every tensor, in the order of the file, under the names that the authors' code has (duplicates included).
absl::StatusOr<std::vector<RecipeEntry>> ReadRecipe(Size size);

std::uint64_t Fnv1a64(std::string_view text);
// The values before any rounding to F16, row-major.
std::vector<float> Generate(const RecipeEntry& entry);
// The tensor's bytes as it is stored: F16 or F32.
std::vector<std::byte> GenerateBytes(const RecipeEntry& entry);
bundle::DType EntryType(const RecipeEntry& entry);

// True for a tensor that a bundle of this profile keeps; false for tied duplicates and for what no formula of
// the profile reads (layout.md says which).
bool InBundle(const RecipeEntry& entry, bundle::Profile profile);

// Tensors with the memory behind them. Movable; the views stay valid.
class OwnedTensors {
 public:
  void Add(const std::string& name, bundle::DType dtype, std::vector<std::int64_t> shape,
           std::vector<std::byte> bytes);
  const bundle::TensorMap& tensors() const { return tensors_; }

 private:
  std::map<std::string, std::vector<std::byte>> storage_;
  bundle::TensorMap tensors_;
};

struct Weights {
  OwnedTensors clip;   // the file of role "image_text_tower"
  OwnedTensors filo;   // "filo"
  OwnedTensors gdino;  // "grounding"
};

// The TINY weights (F16, 10 MB), generated once per process. Thread-safe.
const Weights& TinyWeights(bundle::Profile profile);

// The manifest that fits them, without files and self-test.
bundle::Manifest MakeManifest(Size size, bundle::Profile profile);

}  // namespace filo::support
