// The manifest of a model bundle: every size, threshold and word that the arithmetic needs, so that no
// network holds a constant of its own. Stored as manifest.json in the bundle's directory; parsed and checked
// as a whole (an unknown, missing or out-of-range key is an error naming its path). Plain values, freely
// copyable.
//
// Source: spec sections 1-8 and 10. The comment beside a field gives ViT-L/14@336 at 518 px with Swin-T
// Grounding DINO, the sizes of the paper.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace filo::bundle {

// Which arithmetic the weights were trained with (spec, opening paragraph).
enum class Profile { kPaper, kReleased };

// kDinoV2: no ln_pre, no projection; LayerScale and the bias of the patches are folded away (layout.md).
enum class ImageArchitecture { kClip, kDinoV2 };
enum class TextArchitecture { kClip, kBert };  // kBert: bidirectional, mean-pooled sentence encoder (MiniLM)
enum class Activation { kGelu, kQuickGelu };   // exact erf form, or x * sigmoid(1.702 x)
// Spec section 5: official CLIP, or `paper`.
enum class ColourOrder { kResizeThenConvert, kConvertThenResize };

struct Normalisation {
  std::array<float, 3> mean{};  // RGB, of values in [0, 1]
  std::array<float, 3> std{};
};

struct ImageTower {
  ImageArchitecture architecture = ImageArchitecture::kClip;
  int image_size = 0;  // 518: side of the square input, pixels
  int patch_size = 0;  // 14
  // 24: side of the stored position grid; resized to image_size / patch_size when different.
  int pretrained_grid = 0;
  int width = 0;             // 1024
  int heads = 0;             // 16
  int layers = 0;            // 24
  int mlp_width = 0;         // 4096
  int output_width = 0;      // 768: width of the text space; for kDinoV2 the width itself
  float layer_norm_eps = 0;  // 1e-5
  Activation activation = Activation::kGelu;
  int vv_first_block = 0;  // 7: first block (1-based) with a V-V stream beside it; 0 = no V-V path
  std::vector<int> taps;   // {6, 12, 18, 24}: 1-based blocks after which patch features are taken
  ColourOrder colour_order = ColourOrder::kResizeThenConvert;
  Normalisation normalisation;
};

struct TextTower {
  TextArchitecture architecture = TextArchitecture::kClip;
  int vocabulary = 0;      // 49408
  int context_length = 0;  // 77 tokens, start and end included
  int width = 0;           // 768
  int heads = 0;           // 12
  int layers = 0;          // 12
  int mlp_width = 0;       // 3072
  int output_width = 0;    // 768
  float layer_norm_eps = 0;
  Activation activation = Activation::kGelu;
};

// Words shared by all categories (spec sections 2-4). "{}" stands for the class name.
struct Prompts {
  int context_vectors = 0;  // 12
  bool meta_net = false;    // `released`: the image shifts the context vectors (spec section 3)
  std::vector<std::string> normal_states;  // 7
  std::vector<std::string>
      description_templates;                 // {"abnormal {} with {description}"}; before abnormal_states
  std::vector<std::string> abnormal_states;  // 5
  std::vector<std::string> positions;        // 9, row-major over the 3x3 grid
  std::vector<std::string> general_words;    // 5, first words of the grounding caption
};

enum class GroundingBackbone {
  kSwin,
  kImageTower
};  // kImageTower: patch tokens of the image tower are reused

struct Swin {
  int channels = 0;         // 96
  std::vector<int> depths;  // {2, 2, 6, 2}
  std::vector<int> heads;   // {3, 6, 12, 24}
  int window = 0;           // 7
  int patch_size = 0;       // 4
  int mlp_ratio = 0;        // 4
};

struct Bert {
  int vocabulary = 0;        // 30522
  int width = 0;             // 768
  int layers = 0;            // 12
  int heads = 0;             // 12
  int mlp_width = 0;         // 3072
  int max_positions = 0;     // 512
  float layer_norm_eps = 0;  // 1e-12
};

struct Grounding {
  GroundingBackbone backbone = GroundingBackbone::kSwin;
  Swin swin;  // with kSwin
  std::vector<int>
      tower_taps;  // with kImageTower: blocks whose patch tokens, side by side, feed the first level
  // True: captions are encoded by the BERT of text_tower, and the file holds none of its own; `bert` then
  // repeats that tower's sizes.
  bool shared_bert = false;
  Bert bert;
  int shortest_edge = 0;  // 518
  int longest_edge = 0;   // 1333 (the rounding rule of spec section 4 may exceed it)
  Normalisation normalisation;
  int hidden = 0;             // 256
  int heads = 0;              // 8
  int feed_forward = 0;       // 2048
  int fusion_width = 0;       // 1024
  int fusion_heads = 0;       // 4
  int text_heads = 0;         // 4, text enhancer
  int text_feed_forward = 0;  // 1024
  int encoder_layers = 0;     // 6
  int decoder_layers = 0;     // 6
  int levels = 0;             // 4
  int points = 0;             // 4
  int queries = 0;            // 900
  int max_text_tokens = 0;    // 256
  float layer_norm_eps = 0;   // 1e-5
  float box_threshold = 0;    // 0.25, on the largest token probability
  float text_threshold = 0;   // 0.25, on each token of the phrase
  float max_box_area = 0;     // 0.7, of the image
};

// Multi-shape multi-scale convolutions and the plain heads beside them (spec section 7).
struct Heads {
  struct Kernel {
    int height = 0;
    int width = 0;
  };
  std::vector<Kernel> kernels;  // 1x1, 3x3, 5x5, 7x7, 1x5, 5x1
  std::vector<int>
      mmci_taps;  // {12, 18, 24}: `paper`: V-V stream after these blocks; `released`: see spec section 9.1
  int linear_heads = 0;   // 4, `released` only
  float logit_scale = 0;  // 100, `released` only
  int blur_size = 0;      // 3
  float blur_sigma = 0;   // 4
};

struct Decision {
  int position_extent =
      0;  // 518: the square on which box centres are placed to name a position (spec section 9.5)
  float outside_box_factor =
      0;  // 0.7, `released` only: the map outside all counting boxes is multiplied by this
};

struct FileEntry {
  std::string path;    // relative to the bundle's directory, no "..", e.g. "clip.safetensors"
  std::string sha256;  // lower-case hex
  std::uint64_t bytes = 0;
  // Where the contents come from, under which licence, and how trained, in words. Required for weights.
  std::string provenance;
  std::string licence;
};

struct SelfTest {
  std::string file;        // safetensors with "image" (u8 HWC) and the expected outputs; empty = none
  std::string class_name;  // the category it is asked about
  std::vector<std::string> descriptions;
  double score_tolerance = 0;  // absolute
  double map_tolerance = 0;    // absolute
};

struct Manifest {
  int format_version = 0;  // 1
  std::string name;        // "filo-open-s"
  std::string summary;     // one honest sentence about what these weights are
  Profile profile = Profile::kPaper;
  ImageTower image_tower;
  TextTower text_tower;
  Prompts prompts;
  bool has_grounding = true;
  Grounding grounding;
  Heads heads;
  bool has_adapter = true;
  Decision decision;
  std::map<std::string, FileEntry> files;  // by role: "image_text_tower", "filo", "grounding",
                                           // "clip_vocabulary", "bert_vocabulary", "self_test"
  SelfTest self_test;
};

// Reads manifest.json and checks it with CheckManifest. kInvalidArgument with a FieldViolation naming the
// path of the first key that is unknown, missing, of the wrong type, out of range or at odds with another:
// "manifest.json: image_tower.width is "abc"; it must ...".
absl::StatusOr<Manifest> ParseManifest(std::string_view json);

// The same for a manifest whose bundle does not exist yet: files may be missing, and their digests and sizes
// empty.
absl::StatusOr<Manifest> ParseManifestTemplate(std::string_view json);

// Every rule that concerns sizes and words: ranges, and agreement between the parts. For manifests made in
// code.
absl::Status CheckSizes(const Manifest& manifest);
// CheckSizes, and the list of files is complete: every needed role, safe paths, digests, provenance,
// licences.
absl::Status CheckManifest(const Manifest& manifest);

// The canonical text: two spaces of indentation, keys in a fixed order, every key present, newline at the
// end. Parsing it gives the same manifest.
std::string SerialiseManifest(const Manifest& manifest);

// What names a bundle everywhere (results, caches, metrics): SHA-256 over the canonical text without the
// words about origin (summary, and each file's provenance and licence). Every file's SHA-256 is part of it,
// so bundles with one digest give the same answers, whatever format their weights were published in.
std::string ManifestDigest(const Manifest& manifest);

}  // namespace filo::bundle
