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

struct ImportOptions {
  std::string out;  // directory, made if missing
  // A manifest.json that says everything (sizes, words, licences; digests may be empty). Without it: the
  // published models' manifest, with the sizes read off the tensors.
  std::string manifest_template;
  Profile profile = Profile::kReleased;  // without a template
  int image_size = 518;                  // without a template
  std::string name;                      // replaces the manifest's when not empty
  // Weights. Either `clip`, or `image_tower` and `text_tower`.
  std::string clip, image_tower, text_tower, filo, grounding;
  // CLIP's merges: OpenAI's bpe_simple_vocab_16e6.txt(.gz) or Hugging Face's merges.txt; BERT's vocab.txt.
  std::string clip_vocabulary, bert_vocabulary;
  std::optional<DType> type;
};

// Makes a bundle. manifest.json is written last, so that an import that fails leaves no bundle.
// kInvalidArgument for files that do not fit (every tensor is named), kNotFound for files that are not there.
absl::StatusOr<Manifest> Import(const ImportOptions& options, const Progress& progress);

// The manifest of the authors' models at ViT-L/14@336 and Swin-T, without files: words, thresholds and
// preprocessing of the spec's sections 1 to 10.
Manifest PublishedManifest(Profile profile);

// CLIP's byte-pair merges in one canonical form (plain text, "#version: 0.2", one pair a line), whichever of
// the two published forms they come in, so that bundles of the same model are the same.
absl::StatusOr<std::string> CanonicalMerges(const std::string& path);

}  // namespace filo::bundle::importer
