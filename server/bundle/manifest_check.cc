#include "server/bundle/manifest_check.h"

#include <algorithm>
#include <set>
#include <string>
#include <string_view>

#include "fmt/format.h"
#include "fmt/ranges.h"
#include "server/base/status.h"

namespace filo::bundle {
namespace {

constexpr std::string_view kFile = "manifest.json: ";

// Collects the first broken rule.
class Rules {
 public:
  void Require(bool holds, std::string_view field, std::string_view value, std::string_view expected) {
    if (!holds && status_.ok()) status_ = FieldError(fmt::format("{}{}", kFile, field), value, expected);
  }
  void Require(bool holds, std::string_view field, double value, std::string_view expected) {
    Require(holds, field, fmt::format("{}", value), expected);
  }
  void Divides(std::string_view field, int value, std::string_view by_name, int by) {
    Require(by > 0 && value % by == 0, field, value, fmt::format("be a multiple of {} ({})", by_name, by));
  }
  bool ok() const { return status_.ok(); }
  absl::Status Finish() { return std::move(status_); }

 private:
  absl::Status status_;
};

bool Ascending(const std::vector<int>& list) {
  return std::adjacent_find(list.begin(), list.end(), std::greater_equal<>()) == list.end();
}

std::string Text(const std::vector<int>& list) { return fmt::format("[{}]", fmt::join(list, ", ")); }

int Count(std::string_view text, std::string_view part) {
  int count = 0;
  for (std::size_t at = text.find(part); at != text.npos; at = text.find(part, at + part.size())) ++count;
  return count;
}

void CheckTowers(const ImageTower& image, const TextTower& text, Rules& rules) {
  rules.Divides("image_tower.image_size", image.image_size, "image_tower.patch_size", image.patch_size);
  rules.Require(image.image_size / image.patch_size <= 1024, "image_tower.image_size", image.image_size,
                "give at most 1024 patches a side");
  rules.Divides("image_tower.width", image.width, "image_tower.heads", image.heads);
  rules.Require(image.architecture != ImageArchitecture::kDinoV2 || image.output_width == image.width,
                "image_tower.output_width", image.output_width,
                "equal image_tower.width: DINOv2 has no projection");
  rules.Require(image.vv_first_block <= image.layers, "image_tower.vv_first_block", image.vv_first_block,
                fmt::format("be at most image_tower.layers ({}), or 0 for none", image.layers));
  rules.Require(!image.taps.empty() && Ascending(image.taps) && image.taps.back() <= image.layers,
                "image_tower.taps", Text(image.taps),
                fmt::format("be ascending blocks from 1 to image_tower.layers ({})", image.layers));
  rules.Divides("text_tower.width", text.width, "text_tower.heads", text.heads);
  rules.Require(text.architecture != TextArchitecture::kBert || text.output_width == text.width,
                "text_tower.output_width", text.output_width,
                "equal text_tower.width: this BERT has no projection");
  rules.Require(
      text.output_width == image.output_width, "text_tower.output_width", text.output_width,
      fmt::format("equal image_tower.output_width ({}): both towers share one space", image.output_width));
}

void CheckPrompts(const Manifest& m, Rules& rules) {
  const Prompts& p = m.prompts;
  const auto states = [&](std::string_view field, const std::vector<std::string>& list) {
    rules.Require(!list.empty(), fmt::format("prompts.{}", field), "[]", "hold at least one state");
    for (std::size_t i = 0; i < list.size(); ++i) {
      rules.Require(Count(list[i], "{}") == 1, fmt::format("prompts.{}[{}]", field, i), list[i],
                    "contain {} once, where the class name goes");
    }
  };
  states("normal_states", p.normal_states);
  states("abnormal_states", p.abnormal_states);
  states("description_templates", p.description_templates);
  for (std::size_t i = 0; i < p.description_templates.size(); ++i) {
    rules.Require(Count(p.description_templates[i], "{description}") == 1,
                  fmt::format("prompts.description_templates[{}]", i), p.description_templates[i],
                  "contain {description} once");
  }
  rules.Require(p.positions.size() == 9, "prompts.positions", fmt::format("{} words", p.positions.size()),
                "hold the 9 words of a 3x3 grid, row by row");
  rules.Require(p.context_vectors + 3 <= m.text_tower.context_length, "prompts.context_vectors",
                p.context_vectors, "leave room for a start, a word and an end in text_tower.context_length");
  rules.Require(!p.meta_net || m.profile == Profile::kReleased, "prompts.meta_net", "true",
                "be false: the profile paper has no meta-net");
  rules.Require(!p.meta_net || p.context_vectors > 0, "prompts.meta_net", "true",
                "be false when there are no context vectors to shift");
  rules.Require(!m.has_grounding || !p.general_words.empty(), "prompts.general_words", "[]",
                "hold at least one word for the grounding caption");
}

void CheckSwin(const Swin& swin, Rules& rules) {
  constexpr std::size_t kStages = 4;
  rules.Require(swin.channels > 0, "grounding.swin", "null",
                "be an object when grounding.backbone is \"swin\"");
  rules.Require(swin.depths.size() == kStages, "grounding.swin.depths", Text(swin.depths), "hold 4 numbers");
  rules.Require(swin.heads.size() == kStages, "grounding.swin.heads", Text(swin.heads), "hold 4 numbers");
  if (!rules.ok()) return;
  for (std::size_t stage = 0; stage < kStages; ++stage) {
    rules.Require((swin.channels << stage) % swin.heads[stage] == 0,
                  fmt::format("grounding.swin.heads[{}]", stage), swin.heads[stage],
                  fmt::format("divide the {} channels of its stage", swin.channels << stage));
  }
}

void CheckGrounding(const Manifest& m, Rules& rules) {
  const Grounding& g = m.grounding;
  std::size_t outputs = 3;  // levels that the backbone gives; one more comes from a strided convolution
  if (g.backbone == GroundingBackbone::kSwin) {
    CheckSwin(g.swin, rules);
    rules.Require(g.tower_taps.empty(), "grounding.tower_taps", Text(g.tower_taps),
                  "be [] with the backbone swin");
  } else {
    rules.Require(g.swin.channels == 0, "grounding.swin", "{...}",
                  "be null when grounding.backbone is not \"swin\"");
    rules.Require(
        !g.tower_taps.empty() && Ascending(g.tower_taps) && g.tower_taps.back() <= m.image_tower.layers,
        "grounding.tower_taps", Text(g.tower_taps), "be ascending blocks of the image tower");
    outputs = 1;  // the taps side by side
  }
  rules.Require(static_cast<std::size_t>(g.levels) >= outputs, "grounding.levels", g.levels,
                fmt::format("be at least the {} outputs of the backbone", outputs));
  rules.Require(
      !g.shared_bert, "grounding.shared_bert", "true",
      "be false: this version cannot load a grounding network that reads captions by the text tower");
  rules.Divides("grounding.bert.width", g.bert.width, "grounding.bert.heads", g.bert.heads);
  rules.Require(g.longest_edge >= g.shortest_edge, "grounding.longest_edge", g.longest_edge,
                "be at least grounding.shortest_edge");
  rules.Divides("grounding.hidden", g.hidden, "grounding.heads", g.heads);
  rules.Divides("grounding.hidden", g.hidden, "grounding.text_heads", g.text_heads);
  rules.Divides("grounding.hidden", g.hidden, "the groups of its GroupNorm", 32);
  rules.Divides("grounding.fusion_width", g.fusion_width, "grounding.fusion_heads", g.fusion_heads);
  rules.Require(g.max_text_tokens <= g.bert.max_positions, "grounding.max_text_tokens", g.max_text_tokens,
                fmt::format("be at most grounding.bert.max_positions ({})", g.bert.max_positions));
}

void CheckHeads(const Manifest& m, Rules& rules) {
  const Heads& h = m.heads;
  const bool released = m.profile == Profile::kReleased;
  rules.Require(!h.kernels.empty(), "heads.kernels", "[]", "hold at least one kernel");
  std::set<std::pair<int, int>> seen;
  for (std::size_t i = 0; i < h.kernels.size(); ++i) {
    const auto& [height, width] = h.kernels[i];
    const std::string value = fmt::format("{}x{}", height, width);
    const std::string field = fmt::format("heads.kernels[{}]", i);
    rules.Require(height % 2 == 1 && width % 2 == 1, field, value, "have odd sides, so that it has a centre");
    rules.Require(seen.emplace(height, width).second, field, value, "differ from the other kernels");
  }
  rules.Require(!h.mmci_taps.empty() && Ascending(h.mmci_taps), "heads.mmci_taps", Text(h.mmci_taps),
                "be ascending blocks of the image tower, at least one");
  for (const int tap : h.mmci_taps) {
    const std::vector<int>& taps = m.image_tower.taps;
    rules.Require(std::find(taps.begin(), taps.end(), tap) != taps.end(), "heads.mmci_taps", tap,
                  fmt::format("be one of image_tower.taps {}", Text(taps)));
    rules.Require(tap >= m.image_tower.vv_first_block, "heads.mmci_taps", tap,
                  "not lie before image_tower.vv_first_block: the V-V stream does not exist there");
  }
  const int linear = released ? static_cast<int>(m.image_tower.taps.size()) : 0;
  rules.Require(h.linear_heads == linear, "heads.linear_heads", h.linear_heads,
                released ? fmt::format("be {}: `released` has one for each of image_tower.taps", linear)
                         : "be 0: the profile paper has none");
  rules.Require(h.blur_size % 2 == 1, "heads.blur_size", h.blur_size, "be odd");
  rules.Require(released || m.decision.outside_box_factor == 1.0f, "decision.outside_box_factor",
                m.decision.outside_box_factor, "be 1: the profile paper has no box step");
}

bool SafeName(std::string_view name) {
  return !name.empty() && name.size() <= 64 &&
         name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789._-") == name.npos &&
         name.front() != '.' && name.front() != '-';
}

bool SafePath(std::string_view path) {
  if (path.empty() || path.front() == '/' || path.back() == '/') return false;
  while (!path.empty()) {
    const std::string_view part = path.substr(0, path.find('/'));
    if (part.empty() || part == "." || part == ".." || part.find_first_of("\\:") != part.npos) return false;
    path.remove_prefix(std::min(path.size(), part.size() + 1));
  }
  return true;
}

}  // namespace

absl::Status CheckAgreement(const Manifest& m) {
  Rules rules;
  rules.Require(SafeName(m.name), "name", m.name, "consist of lower-case letters, digits, '.', '_' and '-'");
  CheckTowers(m.image_tower, m.text_tower, rules);
  CheckPrompts(m, rules);
  if (m.has_grounding) CheckGrounding(m, rules);
  CheckHeads(m, rules);
  if (!m.self_test.file.empty()) {
    rules.Require(m.self_test.score_tolerance > 0, "self_test.score_tolerance", m.self_test.score_tolerance,
                  "be above 0");
    rules.Require(m.self_test.map_tolerance > 0, "self_test.map_tolerance", m.self_test.map_tolerance,
                  "be above 0");
  }
  return rules.Finish();
}

absl::Status CheckFiles(const Manifest& m) {
  Rules rules;
  const bool clip_text = m.text_tower.architecture == TextArchitecture::kClip;
  std::set<std::string, std::less<>> roles{"image_text_tower", "filo"};
  if (m.has_grounding) roles.insert("grounding");
  if (clip_text) roles.insert("clip_vocabulary");
  if (m.has_grounding || !clip_text) roles.insert("bert_vocabulary");
  if (!m.self_test.file.empty()) roles.insert("self_test");
  for (const std::string& role : roles) {
    rules.Require(m.files.contains(role), "files." + role, "missing", "be there: this bundle needs it");
  }
  std::set<std::string> paths{"manifest.json"};
  for (const auto& [role, file] : m.files) {
    const std::string field = "files." + role;
    rules.Require(roles.contains(role), field, file.path, "not be there: this bundle has no use for it");
    rules.Require(SafePath(file.path), field + ".path", file.path, "be a path inside the bundle, without ..");
    rules.Require(paths.insert(file.path).second, field + ".path", file.path, "differ from the other files");
    rules.Require(
        file.sha256.size() == 64 && file.sha256.find_first_not_of("0123456789abcdef") == file.sha256.npos,
        field + ".sha256", file.sha256, "be 64 lower-case hexadecimal digits");
    rules.Require(!file.provenance.empty(), field + ".provenance", "", "say where the contents come from");
    rules.Require(!file.licence.empty(), field + ".licence", "", "name the licence of the contents");
  }
  const auto self_test = m.files.find("self_test");
  rules.Require(self_test == m.files.end() || self_test->second.path == m.self_test.file, "self_test.file",
                m.self_test.file, "be the path of files.self_test");
  return rules.Finish();
}

}  // namespace filo::bundle
