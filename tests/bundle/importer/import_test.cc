#include "server/bundle/importer/import.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "server/base/file.h"
#include "server/bundle/bundle.h"
#include "tests/support/golden_bundle.h"
#include "tests/support/recipe.h"

namespace filo::bundle::importer {
namespace {

namespace fs = std::filesystem;
using support::RecipeEntry;
using testing::HasSubstr;
using Tensors = std::map<std::string, std::pair<std::vector<std::int64_t>, std::vector<std::byte>>>;

class ImportTest : public testing::Test {
 protected:
  ImportTest()
      : folder_(testing::TempDir() + "filo_import_test." +
                testing::UnitTest::GetInstance()->current_test_info()->name()) {
    fs::remove_all(folder_);
    fs::create_directories(folder_);
    const std::string tiny = support::TinyBundle(Profile::kReleased);
    Manifest manifest = support::MakeManifest(support::Size::kTiny, Profile::kReleased);
    EXPECT_TRUE(WriteFile(folder_ + "/template.json", SerialiseManifest(manifest)).ok());
    options_.out = folder_ + "/out";
    options_.manifest_template = folder_ + "/template.json";
    options_.clip = tiny + "/clip.safetensors";
    options_.filo = tiny + "/filo.safetensors";
    options_.grounding = tiny + "/grounding.safetensors";
    options_.clip_vocabulary = FILO_TEST_DATA "/vocab/clip_bpe_simple_vocab_16e6.txt.gz";
    options_.bert_vocabulary = FILO_TEST_DATA "/vocab/bert_base_uncased_vocab.txt";
  }
  ~ImportTest() override { fs::remove_all(folder_); }

  // The authors' own names of one file, duplicates included, after `change`.
  std::string Original(const std::string& file, const std::function<void(Tensors&)>& change) {
    Tensors tensors;
    for (const RecipeEntry& entry : Recipe()) {
      if (entry.file == file) tensors[entry.tensor] = {entry.shape, support::GenerateBytes(entry)};
    }
    change(tensors);
    TensorMap map;
    for (const auto& [name, tensor] : tensors) map[name] = {DType::kF16, tensor.first, tensor.second};
    const std::string path = folder_ + "/" + file + ".safetensors";
    EXPECT_TRUE(WriteTensorFile(path, map, {}).ok());
    return path;
  }
  static const std::vector<RecipeEntry>& Recipe() {
    static const std::vector<RecipeEntry> recipe = *support::ReadRecipe(support::Size::kTiny);
    return recipe;
  }
  std::string Error() {
    const auto manifest = Import(options_, nullptr);
    EXPECT_FALSE(fs::exists(options_.out + "/manifest.json") && !manifest.ok())
        << "a failed import left a bundle";
    return manifest.ok() ? "" : std::string(manifest.status().message());
  }

  std::string folder_;
  ImportOptions options_;
};

TEST_F(ImportTest, AuthorsNamesAndOursGiveTheSameBundle) {
  const auto ours = Import(options_, nullptr);
  ASSERT_TRUE(ours.ok()) << ours.status();
  const auto bundle = Bundle::Open(options_.out, {});
  ASSERT_TRUE(bundle.ok()) << bundle.status();
  EXPECT_TRUE((*bundle)->CheckTensors().ok()) << (*bundle)->CheckTensors();
  options_.clip = Original("clip", [](Tensors&) {});
  options_.grounding = Original("gdino", [](Tensors&) {});
  const auto theirs = Import(options_, nullptr);
  ASSERT_TRUE(theirs.ok()) << theirs.status();
  EXPECT_EQ(ManifestDigest(*ours), ManifestDigest(*theirs));
}

TEST_F(ImportTest, DamagedTensorsAreNamed) {
  struct Case {
    std::string file;
    std::function<void(Tensors&)> change;
    std::vector<std::string> names;
  };
  const std::string block = "visual.transformer.resblocks.3.";
  const std::vector<Case> cases{
      {"clip",
       [&](Tensors& t) { t.erase(block + "mlp.c_fc.weight"); },
       {block + "mlp.c_fc.weight [192, 48] has no source"}},
      {"clip",
       [&](Tensors& t) {
         t["visual.oj"] = t.at("visual.proj");
         t.erase("visual.proj");
       },
       {"visual.proj [48, 32] has no source", "visual.oj [48, 32] belongs to no part"}},
      {"clip",
       [&](Tensors& t) {
         t.at(block + "mlp.c_fc.weight").first = {48, 192};
       },
       {block + "mlp.c_fc.weight has shape [48, 192]", "it must be [192, 48]"}},
      {"clip",
       [&](Tensors& t) { t.at(block + "ln_1.bias").second[3] = std::byte{0x7e}; },
       {block + "ln_1.bias holds NaN at element 1"}},
      {"clip",
       [&](Tensors& t) {
         t.at(block + "ln_1.bias").second[2] = std::byte{0},
                      t.at(block + "ln_1.bias").second[3] = std::byte{0x7c};
       },
       {block + "ln_1.bias holds infinity at element 1"}},
      {"gdino",
       [](Tensors& t) {
         t.at("transformer.decoder.bbox_embed.1.layers.0.bias").second[5] ^= std::byte{0x10};
       },
       {"transformer.decoder.bbox_embed.1.layers.0.bias differs from bbox_embed.0.layers.0.bias"}},
      {"gdino",
       [](Tensors& t) {
         t["something.else"] = {{1}, std::vector<std::byte>(2)};
       },
       {"something.else [1] is not known"}},
      {"gdino",
       [](Tensors& t) { t.erase("backbone.0.norm2.weight"); },
       {"backbone.0.norm2.weight is missing"}},
  };
  for (const Case& c : cases) {
    ImportOptions before = options_;
    (c.file == "clip" ? options_.clip : options_.grounding) = Original(c.file, c.change);
    const std::string error = Error();
    for (const std::string& name : c.names) EXPECT_THAT(error, HasSubstr(name));
    EXPECT_THAT(error, testing::AnyOf(HasSubstr(folder_), HasSubstr("tensors are bad")));
    options_ = before;
  }
}

TEST_F(ImportTest, CopiesOfClipInFilosFileAreCompared) {
  const auto file = [&](bool damaged) {
    Tensors copies;
    Original("clip", [&](Tensors& t) { copies = t; });
    return Original("filo", [&](Tensors& t) {
      for (auto& [name, tensor] : copies) t["clip_model." + name] = tensor;
      if (damaged) t.at("clip_model.ln_final.weight").second[0] ^= std::byte{1};
    });
  };
  options_.filo = file(false);
  EXPECT_EQ(Error(), "");
  options_.filo = file(true);
  EXPECT_THAT(Error(), HasSubstr("clip_model.ln_final.weight differs from ln_final.weight"));
}

TEST_F(ImportTest, WrongFilesAndMissingOptionsAreSaid) {
  ImportOptions good = options_;
  options_.grounding = good.clip;
  EXPECT_THAT(Error(), HasSubstr("holds no tensor transformer.level_embed"));
  options_ = good;
  options_.grounding = good.bert_vocabulary;
  EXPECT_THAT(Error(), HasSubstr("is neither safetensors, nor ONNX, nor a PyTorch file"));
  options_ = good;
  options_.bert_vocabulary.clear();
  EXPECT_THAT(Error(), HasSubstr("--bert-vocabulary is missing"));
  options_ = good;
  options_.clip.clear();
  EXPECT_THAT(Error(), HasSubstr("give either --clip"));
  options_ = good;
  options_.clip_vocabulary = good.bert_vocabulary;
  EXPECT_THAT(Error(), HasSubstr("is no list of CLIP's 48894 merges: line 2"));
}

TEST(CanonicalMergesTest, BothPublishedFormsGiveTheSame) {
  const auto gz = CanonicalMerges(FILO_TEST_DATA "/vocab/clip_bpe_simple_vocab_16e6.txt.gz");
  ASSERT_TRUE(gz.ok()) << gz.status();
  EXPECT_TRUE(gz->starts_with("#version: 0.2\ni n\nt h\n"));
  const std::string path = testing::TempDir() + "filo_merges.txt";
  ASSERT_TRUE(WriteFile(path, *gz).ok());
  EXPECT_EQ(*CanonicalMerges(path), *gz);
  fs::remove(path);
}

}  // namespace
}  // namespace filo::bundle::importer
