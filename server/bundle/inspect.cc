#include "server/bundle/inspect.h"

#include <cstdint>
#include <iterator>

#include "fmt/format.h"
#include "fmt/ranges.h"

namespace filo::bundle {
namespace {

std::string Taps(const std::vector<int>& taps) { return fmt::format("{}", fmt::join(taps, ", ")); }

void DescribeSizes(const Manifest& m, std::string& text) {
  const auto out = std::back_inserter(text);
  const ImageTower& image = m.image_tower;
  fmt::format_to(
      out, "image tower  {} at {} px, patch {}, {} layers, width {}, {} heads; features after blocks {}\n",
      image.architecture == ImageArchitecture::kClip ? "CLIP" : "DINOv2", image.image_size, image.patch_size,
      image.layers, image.width, image.heads, Taps(image.taps));
  const TextTower& words = m.text_tower;
  fmt::format_to(
      out, "text tower   {}, {} layers, width {}, {} tokens at most; {} learned context vectors{}\n",
      words.architecture == TextArchitecture::kClip ? "CLIP" : "BERT", words.layers, words.width,
      words.context_length, m.prompts.context_vectors, m.prompts.meta_net ? ", shifted by the image" : "");
  fmt::format_to(out, "heads        {} kernels for each of blocks {}", m.heads.kernels.size(),
                 Taps(m.heads.mmci_taps));
  if (m.heads.linear_heads > 0) fmt::format_to(out, ", {} linear", m.heads.linear_heads);
  fmt::format_to(out, "{}\n", m.has_adapter ? ", adapter" : "");
  if (!m.has_grounding) {
    fmt::format_to(out, "grounding    none\n");
    return;
  }
  const Grounding& g = m.grounding;
  fmt::format_to(out, "grounding    {}, {} + {} layers, width {}, {} queries, shortest edge {} px\n",
                 g.backbone == GroundingBackbone::kSwin
                     ? fmt::format("Swin with {} channels", g.swin.channels)
                     : fmt::format("image tower's blocks {}", Taps(g.tower_taps)),
                 g.encoder_layers, g.decoder_layers, g.hidden, g.queries, g.shortest_edge);
}

}  // namespace

std::string DescribeBundle(const Bundle& bundle, bool tensors) {
  const Manifest& m = bundle.manifest();
  std::string text;
  const auto out = std::back_inserter(text);
  fmt::format_to(out, "{}: {}\n", m.name, m.summary);
  fmt::format_to(out, "digest       {}\n", bundle.digest());
  fmt::format_to(out, "profile      {}\n", m.profile == Profile::kPaper ? "paper" : "released");
  DescribeSizes(m, text);
  fmt::format_to(out, "self-test    {}\n", m.self_test.file.empty() ? "none" : m.self_test.file);
  for (const auto& [role, file] : m.files) {
    fmt::format_to(out, "\n{}: {}, {:.1f} MB", role, file.path, static_cast<double>(file.bytes) / 1e6);
    if (const TensorFile* opened = bundle.tensors(role)) {
      std::int64_t parameters = 0;
      for (const auto& [name, view] : opened->tensors()) parameters += view.elements();
      fmt::format_to(out, ", {} tensors, {} parameters", opened->tensors().size(), parameters);
    }
    fmt::format_to(out, "\n  sha256   {}\n  licence  {}\n  from     {}\n", file.sha256, file.licence,
                   file.provenance);
    if (!tensors || bundle.tensors(role) == nullptr) continue;
    for (const auto& [name, view] : bundle.tensors(role)->tensors()) {
      fmt::format_to(out, "  {:4} {} {}\n", DTypeName(view.dtype), name, ShapeText(view.shape));
    }
  }
  return text;
}

nlohmann::ordered_json DescribeBundleJson(const Bundle& bundle) {
  nlohmann::ordered_json json;
  json["digest"] = bundle.digest();
  json["manifest"] = nlohmann::ordered_json::parse(SerialiseManifest(bundle.manifest()));
  json["tensors"] = nlohmann::ordered_json::object();
  for (const auto& [role, file] : bundle.manifest().files) {
    const TensorFile* opened = bundle.tensors(role);
    if (opened == nullptr) continue;
    for (const auto& [name, view] : opened->tensors()) {
      json["tensors"][role][name] = {{"dtype", DTypeName(view.dtype)}, {"shape", view.shape}};
    }
  }
  return json;
}

}  // namespace filo::bundle
