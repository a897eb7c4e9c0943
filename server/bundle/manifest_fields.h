// The keys of manifest.json, their order, types and ranges, written once for reading, writing and checking.
// Private to manifest.cc.
//
// Each Fields(visitor, part) names the keys of one JSON object. A visitor has: Int, Float, Double, Bool,
// String, Enum, Ints, Strings, Triple, Object (a nested part), Optional (a nested part or null), Each (a list
// of parts), ByRole (an object of parts).
#pragma once

#include <limits>
#include <string_view>
#include <utility>

#include "server/bundle/manifest.h"

namespace filo::bundle {

template <typename E>
using EnumName = std::pair<E, std::string_view>;

inline constexpr EnumName<Profile> kProfiles[] = {{Profile::kPaper, "paper"},
                                                  {Profile::kReleased, "released"}};
inline constexpr EnumName<ImageArchitecture> kImageArchitectures[] = {{ImageArchitecture::kClip, "clip"},
                                                                      {ImageArchitecture::kDinoV2, "dinov2"}};
inline constexpr EnumName<TextArchitecture> kTextArchitectures[] = {{TextArchitecture::kClip, "clip"},
                                                                    {TextArchitecture::kBert, "bert"}};
inline constexpr EnumName<Activation> kActivations[] = {{Activation::kGelu, "gelu"},
                                                        {Activation::kQuickGelu, "quick_gelu"}};
inline constexpr EnumName<ColourOrder> kColourOrders[] = {
    {ColourOrder::kResizeThenConvert, "resize_then_convert"},
    {ColourOrder::kConvertThenResize, "convert_then_resize"}};
inline constexpr EnumName<GroundingBackbone> kBackbones[] = {{GroundingBackbone::kSwin, "swin"},
                                                             {GroundingBackbone::kImageTower, "image_tower"}};

// Wide enough for every published model, narrow enough that no product of two sizes overflows and no manifest
// can ask for absurd memory.
inline constexpr int kMaxWidth = 16384;
inline constexpr int kMaxLayers = 256;
inline constexpr int kMaxImage = 16384;
inline constexpr int kMaxVocabulary = 1 << 20;
inline constexpr int kMaxList = 64;
inline constexpr int kMaxText = 300;

template <typename V>
void Fields(V& v, Normalisation& n) {
  v.Triple("mean", n.mean, -10, 10);
  v.Triple("std", n.std, 1e-3, 10);
}

template <typename V>
void Fields(V& v, ImageTower& t) {
  v.Enum("architecture", t.architecture, kImageArchitectures);
  v.Int("image_size", t.image_size, 1, kMaxImage);
  v.Int("patch_size", t.patch_size, 1, 256);
  v.Int("pretrained_grid", t.pretrained_grid, 1, 1024);
  v.Int("width", t.width, 1, kMaxWidth);
  v.Int("heads", t.heads, 1, 1024);
  v.Int("layers", t.layers, 1, kMaxLayers);
  v.Int("mlp_width", t.mlp_width, 1, 4 * kMaxWidth);
  v.Int("output_width", t.output_width, 1, kMaxWidth);
  v.Float("layer_norm_eps", t.layer_norm_eps, 1e-14, 1e-2);
  v.Enum("activation", t.activation, kActivations);
  v.Int("vv_first_block", t.vv_first_block, 0, kMaxLayers);
  v.Ints("taps", t.taps, kMaxList, 1, kMaxLayers);
  v.Enum("colour_order", t.colour_order, kColourOrders);
  v.Object("normalisation", t.normalisation);
}

template <typename V>
void Fields(V& v, TextTower& t) {
  v.Enum("architecture", t.architecture, kTextArchitectures);
  v.Int("vocabulary", t.vocabulary, 2, kMaxVocabulary);
  v.Int("context_length", t.context_length, 3, 8192);
  v.Int("width", t.width, 1, kMaxWidth);
  v.Int("heads", t.heads, 1, 1024);
  v.Int("layers", t.layers, 1, kMaxLayers);
  v.Int("mlp_width", t.mlp_width, 1, 4 * kMaxWidth);
  v.Int("output_width", t.output_width, 1, kMaxWidth);
  v.Float("layer_norm_eps", t.layer_norm_eps, 1e-14, 1e-2);
  v.Enum("activation", t.activation, kActivations);
}

template <typename V>
void Fields(V& v, Prompts& p) {
  v.Int("context_vectors", p.context_vectors, 0, 1024);
  v.Bool("meta_net", p.meta_net);
  v.Strings("normal_states", p.normal_states, kMaxList, kMaxText);
  v.Strings("description_templates", p.description_templates, kMaxList, kMaxText);
  v.Strings("abnormal_states", p.abnormal_states, kMaxList, kMaxText);
  v.Strings("positions", p.positions, kMaxList, kMaxText);
  v.Strings("general_words", p.general_words, kMaxList, kMaxText);
}

template <typename V>
void Fields(V& v, Swin& s) {
  v.Int("channels", s.channels, 1, kMaxWidth / 8);
  v.Ints("depths", s.depths, 4, 1, kMaxLayers);
  v.Ints("heads", s.heads, 4, 1, 1024);
  v.Int("window", s.window, 1, 64);
  v.Int("patch_size", s.patch_size, 1, 64);
  v.Int("mlp_ratio", s.mlp_ratio, 1, 16);
}

template <typename V>
void Fields(V& v, Bert& b) {
  v.Int("vocabulary", b.vocabulary, 2, kMaxVocabulary);
  v.Int("width", b.width, 1, kMaxWidth);
  v.Int("layers", b.layers, 1, kMaxLayers);
  v.Int("heads", b.heads, 1, 1024);
  v.Int("mlp_width", b.mlp_width, 1, 4 * kMaxWidth);
  v.Int("max_positions", b.max_positions, 1, 8192);
  v.Float("layer_norm_eps", b.layer_norm_eps, 1e-14, 1e-2);
}

template <typename V>
void Fields(V& v, Grounding& g) {
  v.Enum("backbone", g.backbone, kBackbones);
  bool swin = g.backbone == GroundingBackbone::kSwin;
  v.Optional("swin", swin, g.swin);
  v.Ints("tower_taps", g.tower_taps, kMaxList, 1, kMaxLayers);
  v.Bool("shared_bert", g.shared_bert);
  v.Object("bert", g.bert);
  v.Int("shortest_edge", g.shortest_edge, 1, kMaxImage);
  v.Int("longest_edge", g.longest_edge, 1, kMaxImage);
  v.Object("normalisation", g.normalisation);
  v.Int("hidden", g.hidden, 1, kMaxWidth);
  v.Int("heads", g.heads, 1, 1024);
  v.Int("feed_forward", g.feed_forward, 1, 4 * kMaxWidth);
  v.Int("fusion_width", g.fusion_width, 1, kMaxWidth);
  v.Int("fusion_heads", g.fusion_heads, 1, 1024);
  v.Int("text_heads", g.text_heads, 1, 1024);
  v.Int("text_feed_forward", g.text_feed_forward, 1, 4 * kMaxWidth);
  v.Int("encoder_layers", g.encoder_layers, 1, kMaxLayers);
  v.Int("decoder_layers", g.decoder_layers, 1, kMaxLayers);
  v.Int("levels", g.levels, 1, 8);
  v.Int("points", g.points, 1, 64);
  v.Int("queries", g.queries, 1, 10000);
  v.Int("max_text_tokens", g.max_text_tokens, 2, 8192);
  v.Float("layer_norm_eps", g.layer_norm_eps, 1e-14, 1e-2);
  v.Float("box_threshold", g.box_threshold, 0, 1);
  v.Float("text_threshold", g.text_threshold, 0, 1);
  v.Float("max_box_area", g.max_box_area, 0, 1);
}

template <typename V>
void Fields(V& v, Heads::Kernel& k) {
  v.Int("height", k.height, 1, 9);  // one digit each: tensors are named fc_HW
  v.Int("width", k.width, 1, 9);
}

template <typename V>
void Fields(V& v, Heads& h) {
  v.Each("kernels", h.kernels, kMaxList);
  v.Ints("mmci_taps", h.mmci_taps, kMaxList, 1, kMaxLayers);
  v.Int("linear_heads", h.linear_heads, 0, kMaxList);
  v.Float("logit_scale", h.logit_scale, 1e-3, 1e4);
  v.Int("blur_size", h.blur_size, 1, 255);
  v.Float("blur_sigma", h.blur_sigma, 1e-3, 255);
}

template <typename V>
void Fields(V& v, Decision& d) {
  v.Int("position_extent", d.position_extent, 3, kMaxImage);
  v.Float("outside_box_factor", d.outside_box_factor, 0, 1);
}

template <typename V>
void Fields(V& v, FileEntry& f) {
  v.String("path", f.path, 1, kMaxText);
  v.String("sha256", f.sha256, 0, 64);  // empty in a template
  v.UInt64("bytes", f.bytes);
  v.String("provenance", f.provenance, 0, 10000);
  v.String("licence", f.licence, 0, 1000);
}

template <typename V>
void Fields(V& v, SelfTest& t) {
  v.String("file", t.file, 1, kMaxText);
  v.String("class_name", t.class_name, 1, kMaxText);
  v.Strings("descriptions", t.descriptions, kMaxList, kMaxText);
  v.Double("score_tolerance", t.score_tolerance, 0, 1);
  v.Double("map_tolerance", t.map_tolerance, 0, 1);
}

template <typename V>
void Fields(V& v, Manifest& m) {
  v.Int("format_version", m.format_version, 1, 1);
  v.String("name", m.name, 1, 64);
  v.String("summary", m.summary, 1, 1000);
  v.Enum("profile", m.profile, kProfiles);
  v.Object("image_tower", m.image_tower);
  v.Object("text_tower", m.text_tower);
  v.Object("prompts", m.prompts);
  v.Optional("grounding", m.has_grounding, m.grounding);
  v.Object("heads", m.heads);
  v.Bool("adapter", m.has_adapter);
  v.Object("decision", m.decision);
  v.ByRole("files", m.files);
  bool self_test = !m.self_test.file.empty();
  v.Optional("self_test", self_test, m.self_test);
}

}  // namespace filo::bundle
