#include "server/bundle/manifest.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "nlohmann/json.hpp"
#include "server/base/status.h"
#include "tests/support/recipe.h"

namespace filo::bundle {
namespace {

using Json = nlohmann::json;
using support::MakeManifest;
using support::Size;
using testing::HasSubstr;

Manifest WithFiles(Manifest manifest) {
  const std::string digest(64, 'a');
  manifest.files = {{"image_text_tower", {"clip.safetensors", digest, 10, "somewhere", "MIT"}},
                    {"filo", {"filo.safetensors", digest, 10, "here", "MIT"}},
                    {"grounding", {"sub/grounding.safetensors", digest, 10, "there", "Apache-2.0"}},
                    {"clip_vocabulary", {"merges.gz", digest, 10, "there", "MIT"}},
                    {"bert_vocabulary", {"vocab.txt", digest, 10, "there", "MIT"}}};
  return manifest;
}

Manifest Released() { return WithFiles(MakeManifest(Size::kFull, Profile::kReleased)); }
Manifest Paper() { return WithFiles(MakeManifest(Size::kTiny, Profile::kPaper)); }

TEST(ManifestTest, CanonicalTextRoundTrips) {
  Manifest with_self_test = Released();
  with_self_test.self_test = {"self_test.safetensors", "metal nut", {"bent"}, 1e-4, 1e-3};
  with_self_test.files["self_test"] = {"self_test.safetensors", std::string(64, 'b'), 1, "computed", "MIT"};
  Manifest without_grounding = Paper();
  without_grounding.has_grounding = false;
  without_grounding.files.erase("grounding");
  without_grounding.files.erase("bert_vocabulary");
  for (const Manifest& manifest : {Released(), Paper(), with_self_test, without_grounding}) {
    const std::string text = SerialiseManifest(manifest);
    const auto parsed = ParseManifest(text);
    ASSERT_TRUE(parsed.ok()) << parsed.status();
    EXPECT_EQ(SerialiseManifest(*parsed), text);
    EXPECT_EQ(parsed->text_tower.layer_norm_eps, 1e-5f);
    EXPECT_EQ(parsed->files.at("filo").path, "filo.safetensors");
  }
  EXPECT_THAT(SerialiseManifest(Released()), HasSubstr("\"layer_norm_eps\": 1e-05,"));
}

TEST(ManifestTest, DigestIsOfTheArithmeticNotOfTheWordsAboutOrigin) {
  const std::string digest = ManifestDigest(Released());
  EXPECT_EQ(digest.size(), 64u);
  Manifest other = Released();
  other.files["filo"].provenance = "imported from another format";
  other.summary = "Other words.";
  EXPECT_EQ(ManifestDigest(other), digest);
  other.files["filo"].sha256[0] = 'b';
  EXPECT_NE(ManifestDigest(other), digest);
  other = Released();
  other.grounding.box_threshold = 0.26f;
  EXPECT_NE(ManifestDigest(other), digest);
}

TEST(ManifestTest, TextThatIsNoManifest) {
  EXPECT_THAT(std::string(ParseManifest("").status().message()),
              HasSubstr("manifest.json is not a JSON object"));
  EXPECT_THAT(std::string(ParseManifest("[]").status().message()), HasSubstr("is not a JSON object"));
  EXPECT_THAT(std::string(ParseManifest("{\"a\":1,\"a\":2}").status().message()), HasSubstr("names a twice"));
  EXPECT_THAT(std::string(ParseManifest(std::string(100000, '[')).status().message()),
              HasSubstr("nested too deeply"));
}

// Each change of a good manifest's JSON is an error that names the path of the key that was changed.
TEST(ManifestTest, EveryKeyIsRequiredAndTyped) {
  const Json good = Json::parse(SerialiseManifest(Released()));
  int keys = 0;
  const std::function<void(Json::json_pointer)> visit = [&](const Json::json_pointer& at) {
    const Json& here = good.at(at);
    if (!here.is_object()) return;
    for (const auto& [key, value] : here.items()) {
      ++keys;
      const std::string name = key;
      Json missing = good;
      missing.at(at).erase(name);
      const auto removed = ParseManifest(missing.dump());
      EXPECT_THAT(std::string(removed.status().message()), HasSubstr(name)) << at;
      EXPECT_TRUE(GetFieldViolation(removed.status()).has_value()) << at << " " << name;
      Json wrong = good;
      wrong.at(at)[name] = value.is_boolean() ? Json(1) : Json(true);
      if (name == "swin" || name == "grounding" || name == "self_test") wrong.at(at)[name] = 5;
      const auto mistyped = ParseManifest(wrong.dump());
      EXPECT_THAT(std::string(mistyped.status().message()), HasSubstr(name)) << at;
      Json surplus = good;
      surplus.at(at)["surprise"] = 1;
      EXPECT_THAT(std::string(ParseManifest(surplus.dump()).status().message()), HasSubstr("surprise"));
      visit(at / name);
    }
  };
  visit(Json::json_pointer());
  EXPECT_GT(keys, 120);
}

struct BrokenRule {
  std::string pointer;
  Json value;
  std::string message;
};

void ExpectBroken(const Manifest& manifest, const std::vector<BrokenRule>& rules) {
  const Json good = Json::parse(SerialiseManifest(manifest));
  ASSERT_TRUE(ParseManifest(good.dump()).ok()) << ParseManifest(good.dump()).status();
  for (const BrokenRule& rule : rules) {
    Json json = good;
    json[Json::json_pointer(rule.pointer)] = rule.value;
    const auto parsed = ParseManifest(json.dump());
    ASSERT_FALSE(parsed.ok()) << rule.pointer << " " << rule.value;
    EXPECT_THAT(std::string(parsed.status().message()), HasSubstr(rule.message)) << rule.pointer;
    const auto violation = GetFieldViolation(parsed.status());
    ASSERT_TRUE(violation.has_value()) << rule.pointer;
    EXPECT_THAT(violation->field, testing::StartsWith("manifest.json: "));
  }
}

TEST(ManifestTest, OutOfRangeValuesAreNamed) {
  ExpectBroken(Released(),
               {
                   {"/format_version", 2,
                    "manifest.json: format_version is \"2\"; it must be a whole number from 1 to 1"},
                   {"/image_tower/width", -1, "image_tower.width is \"-1\""},
                   {"/image_tower/width", 1024.5, "image_tower.width is \"1024.5\""},
                   {"/image_tower/width", 1e300, "image_tower.width"},
                   {"/image_tower/width", 18446744073709551615u, "image_tower.width"},
                   {"/image_tower/architecture", "resnet", "it must be \"clip\" or \"dinov2\""},
                   {"/image_tower/normalisation/std/1", 0, "image_tower.normalisation.std[1]"},
                   {"/image_tower/normalisation/mean", {1, 2}, "be a list of three numbers"},
                   {"/prompts/positions/3", "a\nb", "prompts.positions[3]"},
                   {"/prompts/positions/3", "", "prompts.positions[3]"},
                   {"/grounding/box_threshold", 1.5, "grounding.box_threshold"},
                   {"/grounding/box_threshold", nullptr, "grounding.box_threshold"},
                   {"/heads/kernels/2/height", 11, "heads.kernels[2].height"},
                   {"/files/filo/bytes", -3, "files.filo.bytes"},
               });
}

TEST(ManifestTest, PartsThatDisagreeAreNamed) {
  ExpectBroken(
      Released(),
      {
          {"/name", "Has Blanks", "name is \"Has Blanks\""},
          {"/image_tower/image_size", 500, "image_tower.image_size is \"500\"; it must be a multiple of"},
          {"/image_tower/heads", 7,
           "image_tower.width is \"1024\"; it must be a multiple of image_tower.heads (7)"},
          {"/image_tower/vv_first_block", 25, "image_tower.vv_first_block"},
          {"/image_tower/taps", {6, 6}, "image_tower.taps"},
          {"/image_tower/taps", {6, 25}, "image_tower.taps"},
          {"/image_tower/architecture", "dinov2", "image_tower.output_width"},
          {"/text_tower/output_width", 512, "text_tower.output_width"},
          {"/prompts/normal_states/0", "no place", "prompts.normal_states[0]"},
          {"/prompts/description_templates/0", "{} only", "prompts.description_templates[0]"},
          {"/prompts/positions", {"left", "right"}, "prompts.positions"},
          {"/prompts/context_vectors", 75, "prompts.context_vectors"},
          {"/profile", "paper", "prompts.meta_net"},
          {"/grounding/swin", nullptr, "grounding.swin"},
          {"/grounding/backbone", "image_tower", "grounding.swin"},
          {"/grounding/tower_taps", {6}, "grounding.tower_taps"},
          {"/grounding/swin/heads", {3, 6, 12}, "grounding.swin.heads"},
          {"/grounding/swin/heads/1", 7, "grounding.swin.heads[1]"},
          {"/grounding/levels", 2, "grounding.levels"},
          {"/grounding/hidden", 260, "grounding.hidden"},
          {"/grounding/longest_edge", 100, "grounding.longest_edge"},
          {"/grounding/max_text_tokens", 600, "grounding.max_text_tokens"},
          {"/heads/kernels/1/height", 2, "heads.kernels[1]"},
          {"/heads/kernels/1", {{"height", 1}, {"width", 1}}, "heads.kernels[1]"},
          {"/heads/mmci_taps", {7, 12}, "heads.mmci_taps"},
          {"/heads/mmci_taps", {6, 12}, "heads.mmci_taps"},
          {"/heads/linear_heads", 3, "heads.linear_heads"},
          {"/heads/blur_size", 4, "heads.blur_size"},
      });
  ExpectBroken(Paper(), {{"/heads/linear_heads", 4, "heads.linear_heads"},
                         {"/decision/outside_box_factor", 0.7, "decision.outside_box_factor"}});
}

TEST(ManifestTest, FilesAreCompleteAndSafe) {
  std::vector<BrokenRule> rules{
      {"/files/filo/sha256", std::string(64, 'A'), "files.filo.sha256"},
      {"/files/filo/provenance", "", "files.filo.provenance"},
      {"/files/filo/licence", "", "files.filo.licence"},
      {"/files/filo/path", "clip.safetensors", "differ from the other files"},
      {"/files/extra",
       {{"path", "x"}, {"sha256", std::string(64, 'a')}, {"bytes", 1}, {"provenance", "x"}, {"licence", "x"}},
       "files.extra"},
      {"/grounding", nullptr, "has no use for it"},
  };
  for (const char* path :
       {"../x", "/etc/passwd", "a/../../x", "./x", "a//x", "a/", "a\\x", "manifest.json"}) {
    rules.push_back({"/files/filo/path", path, "files.filo.path"});
  }
  ExpectBroken(Released(), rules);
  Json json = Json::parse(SerialiseManifest(Released()));
  json["files"].erase("bert_vocabulary");
  EXPECT_THAT(std::string(ParseManifest(json.dump()).status().message()), HasSubstr("files.bert_vocabulary"));
}

TEST(ManifestTest, CheckSizesCoversRangesOfManifestsMadeInCode) {
  EXPECT_TRUE(CheckSizes(MakeManifest(Size::kTiny, Profile::kReleased)).ok());
  EXPECT_FALSE(CheckManifest(MakeManifest(Size::kTiny, Profile::kReleased)).ok());  // no files
  Manifest manifest = Released();
  manifest.grounding.queries = 0;
  EXPECT_THAT(std::string(CheckSizes(manifest).message()), HasSubstr("grounding.queries"));
}

}  // namespace
}  // namespace filo::bundle
