// What the published models leave to code: words, thresholds, preprocessing; and their vocabulary's two
// forms.
#include <zlib.h>

#include <string>
#include <string_view>

#include "fmt/format.h"
#include "server/base/file.h"
#include "server/base/status.h"
#include "server/bundle/importer/import.h"

namespace filo::bundle::importer {
namespace {

constexpr std::uint64_t kMaxVocabulary = 64u << 20;
// OpenAI's tokenizer uses 49152 - 256 - 2 of the file's merges.
constexpr std::size_t kMerges = 48894;

absl::StatusOr<std::string> Gunzip(const std::string& path, const std::string& packed) {
  std::string out(kMaxVocabulary, '\0');
  z_stream stream{};
  if (inflateInit2(&stream, MAX_WBITS + 16) != Z_OK)
    return absl::ResourceExhaustedError("no memory to unpack");
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(packed.data()));
  stream.avail_in = static_cast<uInt>(packed.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  const int result = inflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  inflateEnd(&stream);
  if (result != Z_STREAM_END)
    return absl::InvalidArgumentError(fmt::format("{} is a damaged gzip file", path));
  return out;
}

}  // namespace

absl::StatusOr<std::string> CanonicalMerges(const std::string& path) {
  FILO_ASSIGN_OR_RETURN(std::string text, ReadFile(path, kMaxVocabulary));
  if (text.starts_with("\x1f\x8b")) {
    FILO_ASSIGN_OR_RETURN(text, Gunzip(path, text));
  }
  std::string merges = "#version: 0.2\n";
  std::size_t at = text.find('\n') + 1;  // the first line is a comment or a version
  for (std::size_t line = 0; line < kMerges; ++line) {
    const std::size_t end = at == 0 ? text.npos : text.find('\n', at);
    const std::string_view pair = std::string_view(text).substr(std::min(at, text.size()), end - at);
    const std::size_t blank = pair.find(' ');
    if (end == text.npos || blank == 0 || blank == pair.npos || pair.find(' ', blank + 1) != pair.npos) {
      return absl::InvalidArgumentError(fmt::format(
          "{} is no list of CLIP's {} merges: line {} is not two symbols", path, kMerges, line + 2));
    }
    merges.append(pair).push_back('\n');
    at = end + 1;
  }
  return merges;
}

Manifest PublishedManifest(Profile profile) {
  const bool paper = profile == Profile::kPaper;
  Manifest m;
  m.format_version = 1;
  m.name = paper ? "filo-paper" : "filo-released";
  m.summary = "Imported from published files of CLIP, Grounding DINO and FiLo.";
  m.profile = profile;
  m.image_tower.image_size = 518;
  m.image_tower.layer_norm_eps = 1e-5f;
  m.image_tower.vv_first_block = 7;
  m.image_tower.taps = {6, 12, 18, 24};
  m.image_tower.colour_order = paper ? ColourOrder::kConvertThenResize : ColourOrder::kResizeThenConvert;
  m.image_tower.normalisation = {{0.48145466f, 0.4578275f, 0.40821073f},
                                 {0.26862954f, 0.26130258f, 0.27577711f}};
  m.text_tower.layer_norm_eps = 1e-5f;
  m.prompts.meta_net = !paper;
  m.prompts.normal_states = {"{}",
                             "flawless {}",
                             "perfect {}",
                             "unblemished {}",
                             "{} without flaw",
                             "{} without defect",
                             "{} without damage"};
  m.prompts.description_templates = {"abnormal {} with {description}"};
  m.prompts.abnormal_states = {"damaged {}", "broken {}", "{} with flaw", "{} with defect", "{} with damage"};
  m.prompts.positions = {"top left", "top",         "top right", "left",        "center",
                         "right",    "bottom left", "bottom",    "bottom right"};
  m.prompts.general_words = {"anomaly", "damage", "broken", "defect", "contamination"};
  Grounding& g = m.grounding;
  g.bert.layer_norm_eps = 1e-12f;
  g.shortest_edge = 518;
  g.longest_edge = 1333;
  g.normalisation = {{0.485f, 0.456f, 0.406f}, {0.229f, 0.224f, 0.225f}};
  g.max_text_tokens = 256;
  g.layer_norm_eps = 1e-5f;
  g.box_threshold = g.text_threshold = 0.25f;
  g.max_box_area = 0.7f;
  m.heads.kernels = {{1, 1}, {3, 3}, {5, 5}, {7, 7}, {1, 5}, {5, 1}};
  m.heads.mmci_taps = {12, 18, 24};
  m.heads.linear_heads = paper ? 0 : 4;
  m.heads.logit_scale = paper ? 1.0f : 100.0f;
  m.heads.blur_size = 3;
  m.heads.blur_sigma = 4;
  m.decision = {518, paper ? 1.0f : 0.7f};
  return m;
}

}  // namespace filo::bundle::importer
