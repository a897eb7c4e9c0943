// From published weight files to a bundle. The work behind `filo-bundle import` and `filo-bundle
// import-towers`.
#pragma once

#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/bundle/importer/mapper.h"
#include "server/bundle/manifest.h"

namespace filo::bundle::importer {

struct Towers {
  ImageTower image;  // sizes only: image size, taps, V-V path and normalisation are for the manifest to say
  TextTower text;
};

// Writes the image and the text tower of the open model (DINOv2 and a BERT sentence encoder) into one
// safetensors file `out`, the future file of role "image_text_tower". `type`: what the values are stored as;
// nothing = as in the source. Errors name every tensor that is missing, surplus, mis-shaped or not finite,
// and nothing is written then.
absl::StatusOr<Towers> ImportTowers(const std::string& image_path, const std::string& text_path,
                                    const std::string& out, std::optional<DType> type,
                                    const Progress& progress);

}  // namespace filo::bundle::importer
