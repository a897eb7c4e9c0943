#include "tests/support/recipe.h"

#include <charconv>
#include <cstring>
#include <sstream>
#include <utility>

#include "fmt/format.h"
#include "server/base/file.h"
#include "server/base/half.h"
#include "server/base/status.h"

namespace filo::support {
namespace {

std::vector<std::string> Split(const std::string& text, char separator) {
  std::vector<std::string> parts;
  std::istringstream stream(text);
  for (std::string part; std::getline(stream, part, separator);) parts.push_back(part);
  return parts;
}

bool StartsWithAny(const std::string& name, std::initializer_list<std::string_view> prefixes) {
  for (const std::string_view prefix : prefixes) {
    if (name.starts_with(prefix)) return true;
  }
  return false;
}

Weights MakeTiny(bundle::Profile profile) {
  Weights weights;
  const auto recipe = ReadRecipe(Size::kTiny);
  if (!recipe.ok()) {
    fmt::print(stderr, "{}\n", recipe.status().ToString());
    std::abort();
  }
  for (const RecipeEntry& entry : *recipe) {
    if (!InBundle(entry, profile)) continue;
    OwnedTensors& file = entry.file == "clip"   ? weights.clip
                         : entry.file == "filo" ? weights.filo
                                                : weights.gdino;
    file.Add(entry.tensor, EntryType(entry), entry.shape, GenerateBytes(entry));
  }
  return weights;
}

}  // namespace

absl::StatusOr<std::vector<RecipeEntry>> ReadRecipe(Size size) {
  const std::string path =
      fmt::format("{}/recipe/{}.tsv", FILO_GOLDENS, size == Size::kTiny ? "tiny" : "full");
  FILO_ASSIGN_OR_RETURN(const std::string text, ReadFile(path, 1u << 20));
  std::vector<RecipeEntry> entries;
  for (const std::string& line : Split(text, '\n')) {
    const std::vector<std::string> cells = Split(line, '\t');
    if (entries.empty() && cells.at(0) == "file") continue;
    if (cells.size() != 7)
      return absl::InvalidArgumentError(fmt::format("{}: {} has not 7 cells", path, line));
    RecipeEntry entry{cells[0], cells[1],         {}, std::stof(cells[3]), std::stof(cells[4]),
                      cells[5], cells[6] == "f16"};
    if (cells[2] != "scalar") {
      for (const std::string& side : Split(cells[2], 'x')) entry.shape.push_back(std::stoll(side));
    }
    entries.push_back(std::move(entry));
  }
  return entries;
}

std::uint64_t Fnv1a64(std::string_view text) {
  std::uint64_t hash = 0xcbf29ce484222325u;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  return hash;
}

std::vector<float> Generate(const RecipeEntry& entry) {
  std::uint64_t count = 1;
  for (const std::int64_t side : entry.shape) count *= static_cast<std::uint64_t>(side);
  const std::uint64_t hash = Fnv1a64(entry.hash_name);
  std::vector<float> values(count);
  for (std::uint64_t i = 0; i < count; ++i) {
    std::uint64_t z = hash + (i + 1) * 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    z ^= z >> 31;
    const float unit = static_cast<float>(z >> 40) * 0x1p-24f;  // exact
    const float product =
        entry.scale * (2.0f * unit - 1.0f);  // rounded once; the build forbids fused operations
    values[i] = entry.offset + product;
  }
  return values;
}

bundle::DType EntryType(const RecipeEntry& entry) {
  return entry.half ? bundle::DType::kF16 : bundle::DType::kF32;
}

std::vector<std::byte> GenerateBytes(const RecipeEntry& entry) {
  const std::vector<float> values = Generate(entry);
  std::vector<std::byte> bytes(values.size() * bundle::DTypeBytes(EntryType(entry)));
  if (!entry.half) {
    std::memcpy(bytes.data(), values.data(), bytes.size());
    return bytes;
  }
  for (std::size_t i = 0; i < values.size(); ++i) {
    const std::uint16_t half = FloatToHalf(values[i]);
    std::memcpy(bytes.data() + 2 * i, &half, 2);
  }
  return bytes;
}

bool InBundle(const RecipeEntry& entry, bundle::Profile profile) {
  const std::string& name = entry.tensor;
  if (name == "logit_scale" || name.starts_with("bert.pooler.")) return false;
  if (name.starts_with("transformer.decoder.bbox_embed.")) return false;
  if (name.starts_with("bbox_embed.") && !name.starts_with("bbox_embed.0.")) return false;
  if (profile == bundle::Profile::kPaper) {
    return !StartsWithAny(
        name, {"decoder_linear.", "normal_prompt_learner.meta_net.", "abnormal_prompt_learner.meta_net."});
  }
  return true;
}

void OwnedTensors::Add(const std::string& name, bundle::DType dtype, std::vector<std::int64_t> shape,
                       std::vector<std::byte> bytes) {
  std::vector<std::byte>& kept = storage_[name] = std::move(bytes);
  tensors_[name] = {dtype, std::move(shape), kept};
}

const Weights& TinyWeights(bundle::Profile profile) {
  if (profile == bundle::Profile::kPaper) {
    static const Weights paper = MakeTiny(bundle::Profile::kPaper);
    return paper;
  }
  static const Weights released = MakeTiny(bundle::Profile::kReleased);
  return released;
}

bundle::Manifest MakeManifest(Size size, bundle::Profile profile) {
  const bool tiny = size == Size::kTiny;
  const bool paper = profile == bundle::Profile::kPaper;
  bundle::Manifest m;
  m.format_version = 1;
  m.name = fmt::format("golden-{}-{}", tiny ? "tiny" : "full", paper ? "paper" : "released");
  m.summary = "Random weights made for tests: its verdicts mean nothing.";
  m.profile = profile;
  m.image_tower = {
      .image_size = tiny ? 126 : 518,
      .patch_size = 14,
      .pretrained_grid = tiny ? 6 : 24,
      .width = tiny ? 48 : 1024,
      .heads = tiny ? 3 : 16,
      .layers = 24,
      .mlp_width = tiny ? 192 : 4096,
      .output_width = tiny ? 32 : 768,
      .layer_norm_eps = 1e-5f,
      .vv_first_block = 7,
      .taps = {6, 12, 18, 24},
      .colour_order =
          paper ? bundle::ColourOrder::kConvertThenResize : bundle::ColourOrder::kResizeThenConvert,
      .normalisation = {{0.48145466f, 0.4578275f, 0.40821073f}, {0.26862954f, 0.26130258f, 0.27577711f}}};
  m.text_tower = {.vocabulary = 49408,
                  .context_length = 77,
                  .width = tiny ? 32 : 768,
                  .heads = tiny ? 4 : 12,
                  .layers = tiny ? 3 : 12,
                  .mlp_width = tiny ? 128 : 3072,
                  .output_width = tiny ? 32 : 768,
                  .layer_norm_eps = 1e-5f};
  m.prompts = {
      .context_vectors = 12,
      .meta_net = !paper,
      .normal_states = {"{}", "flawless {}", "perfect {}", "unblemished {}", "{} without flaw",
                        "{} without defect", "{} without damage"},
      .description_templates = {"abnormal {} with {description}"},
      .abnormal_states = {"damaged {}", "broken {}", "{} with flaw", "{} with defect", "{} with damage"},
      .positions = {"top left", "top", "top right", "left", "center", "right", "bottom left", "bottom",
                    "bottom right"},
      .general_words = {"anomaly", "damage", "broken", "defect", "contamination"}};
  m.grounding = {.swin = {.channels = tiny ? 16 : 96,
                          .depths = tiny ? std::vector<int>{2, 2, 2, 2} : std::vector<int>{2, 2, 6, 2},
                          .heads = tiny ? std::vector<int>{2, 2, 4, 8} : std::vector<int>{3, 6, 12, 24},
                          .window = 7,
                          .patch_size = 4,
                          .mlp_ratio = 4},
                 .tower_taps = {},
                 .bert = {.vocabulary = 30522,
                          .width = tiny ? 32 : 768,
                          .layers = tiny ? 2 : 12,
                          .heads = tiny ? 4 : 12,
                          .mlp_width = tiny ? 128 : 3072,
                          .max_positions = 512,
                          .layer_norm_eps = 1e-12f},
                 .shortest_edge = tiny ? 126 : 518,
                 .longest_edge = tiny ? 320 : 1333,
                 .normalisation = {{0.485f, 0.456f, 0.406f}, {0.229f, 0.224f, 0.225f}},
                 .hidden = tiny ? 64 : 256,
                 .heads = tiny ? 4 : 8,
                 .feed_forward = tiny ? 128 : 2048,
                 .fusion_width = tiny ? 64 : 1024,
                 .fusion_heads = tiny ? 2 : 4,
                 .text_heads = tiny ? 2 : 4,
                 .text_feed_forward = tiny ? 64 : 1024,
                 .encoder_layers = tiny ? 2 : 6,
                 .decoder_layers = tiny ? 2 : 6,
                 .levels = 4,
                 .points = 4,
                 .queries = tiny ? 50 : 900,
                 .max_text_tokens = 256,
                 .layer_norm_eps = 1e-5f,
                 .box_threshold = 0.25f,
                 .text_threshold = 0.25f,
                 .max_box_area = 0.7f};
  m.heads = {.kernels = {{1, 1}, {3, 3}, {5, 5}, {7, 7}, {1, 5}, {5, 1}},
             .mmci_taps = {12, 18, 24},
             .linear_heads = paper ? 0 : 4,
             .logit_scale = paper ? 1.0f : 100.0f,
             .blur_size = 3,
             .blur_sigma = 4};
  m.decision = {.position_extent = 518, .outside_box_factor = paper ? 1.0f : 0.7f};
  return m;
}

}  // namespace filo::support
