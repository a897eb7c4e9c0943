#include "tests/support/golden_bundle.h"

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <map>
#include <memory>
#include <sstream>

#include "fmt/format.h"
#include "server/base/file.h"
#include "server/base/sha256.h"
#include "server/base/status.h"
#include "server/bundle/bundle.h"

namespace filo::support {
namespace {

namespace fs = std::filesystem;

constexpr char kOrigin[] = "Random numbers from a seeded recipe (tests/goldens/README.md), made for tests.";
constexpr char kLicence[] = "CC0-1.0";

struct FileOfRole {
  std::string recipe_file;
  std::string role;
  std::string path;
};
const FileOfRole kTensorFiles[] = {{"clip", "image_text_tower", "clip.safetensors"},
                                   {"filo", "filo", "filo.safetensors"},
                                   {"gdino", "grounding", "grounding.safetensors"}};

struct Vocabulary {
  std::string role;
  std::string source;
  std::string path;
  std::string provenance;
  std::string licence;
};
const Vocabulary kVocabularies[] = {
    {"clip_vocabulary", "clip_bpe_simple_vocab_16e6.txt.gz", "bpe_simple_vocab_16e6.txt.gz",
     "Byte-pair merges of OpenAI's CLIP.", "MIT"},
    {"bert_vocabulary", "bert_base_uncased_vocab.txt", "bert_vocab.txt",
     "WordPiece vocabulary of bert-base-uncased.", "Apache-2.0"}};

absl::StatusOr<std::map<std::string, std::string>> FullDigests() {
  FILO_ASSIGN_OR_RETURN(const std::string text, ReadFile(FILO_GOLDENS "/recipe/full_sha256.tsv", 1u << 20));
  std::map<std::string, std::string> digests;
  std::istringstream lines(text);
  std::string file, tensor, digest, rest;
  while (lines >> file >> tensor >> digest && std::getline(lines, rest))
    digests[file + " " + tensor] = digest;
  return digests;
}

absl::Status WriteTensors(const FileOfRole& file, const std::vector<RecipeEntry>& recipe,
                          bundle::Profile profile, const std::map<std::string, std::string>& digests,
                          const std::string& directory,
                          const std::function<void(std::string_view)>& progress) {
  bundle::TensorFileWriter::Specs specs;
  for (const RecipeEntry& entry : recipe) {
    if (entry.file == file.recipe_file && InBundle(entry, profile))
      specs[entry.tensor] = {EntryType(entry), entry.shape};
  }
  FILO_ASSIGN_OR_RETURN(const auto writer,
                        bundle::TensorFileWriter::Create(directory + "/" + file.path, specs, {}));
  for (const RecipeEntry& entry : recipe) {
    if (entry.file != file.recipe_file || !InBundle(entry, profile)) continue;
    if (progress) progress(entry.tensor);
    const std::vector<std::byte> bytes = GenerateBytes(entry);
    const auto digest = digests.find(entry.file + " " + entry.tensor);
    if (digest != digests.end() && Sha256Hex(bytes) != digest->second) {
      return absl::InternalError(fmt::format("{} differs from its digest in full_sha256.tsv", entry.tensor));
    }
    FILO_RETURN_IF_ERROR(writer->Write(entry.tensor, bytes));
  }
  return writer->Finish();
}

// Names the cached bundle by everything that goes into it.
std::string CacheKey(bundle::Profile profile) {
  Sha256 hash;
  const auto add = [&](const std::string& text) { hash.Update(std::as_bytes(std::span(text))); };
  add(bundle::SerialiseManifest(MakeManifest(Size::kTiny, profile)));
  add(*ReadFile(FILO_GOLDENS "/recipe/tiny.tsv", 1u << 20));
  add(*ReadFile(FILO_GOLDENS "/recipe/tiny_sha256.tsv", 1u << 20));
  return hash.Finish().substr(0, 16);
}

std::string MakeTinyBundle(bundle::Profile profile) {
  const std::string path =
      fmt::format("{}/{}-{}", FILO_TEST_CACHE, MakeManifest(Size::kTiny, profile).name, CacheKey(profile));
  if (fs::exists(path)) return path;
  // Made aside and renamed: of several processes one wins, and none sees half a bundle.
  const std::string aside = fmt::format("{}.{}", path, ::getpid());
  fs::create_directories(aside);
  const absl::Status status = WriteGoldenBundle(Size::kTiny, profile, aside, nullptr);
  if (!status.ok()) {
    fmt::print(stderr, "cannot make the TINY bundle: {}\n", status.ToString());
    std::abort();
  }
  std::error_code lost_race;
  fs::rename(aside, path, lost_race);
  if (lost_race) fs::remove_all(aside);
  return path;
}

}  // namespace

absl::Status WriteGoldenBundle(Size size, bundle::Profile profile, const std::string& directory,
                               const std::function<void(std::string_view)>& progress) {
  FILO_ASSIGN_OR_RETURN(const std::vector<RecipeEntry> recipe, ReadRecipe(size));
  std::map<std::string, std::string> digests;
  if (size == Size::kFull) {
    FILO_ASSIGN_OR_RETURN(digests, FullDigests());
  }
  bundle::Manifest manifest = MakeManifest(size, profile);
  for (const FileOfRole& file : kTensorFiles) {
    FILO_RETURN_IF_ERROR(WriteTensors(file, recipe, profile, digests, directory, progress));
    FILO_ASSIGN_OR_RETURN(manifest.files[file.role],
                          bundle::DescribeFile(directory, file.path, kOrigin, kLicence));
  }
  for (const Vocabulary& v : kVocabularies) {
    FILO_ASSIGN_OR_RETURN(const std::string contents,
                          ReadFile(FILO_TEST_DATA "/vocab/" + v.source, 8u << 20));
    FILO_RETURN_IF_ERROR(WriteFile(directory + "/" + v.path, contents));
    FILO_ASSIGN_OR_RETURN(manifest.files[v.role],
                          bundle::DescribeFile(directory, v.path, v.provenance, v.licence));
  }
  return bundle::WriteManifest(directory, manifest);
}

std::string TinyBundle(bundle::Profile profile) {
  if (profile == bundle::Profile::kPaper) {
    static const std::string paper = MakeTinyBundle(bundle::Profile::kPaper);
    return paper;
  }
  static const std::string released = MakeTinyBundle(bundle::Profile::kReleased);
  return released;
}

}  // namespace filo::support
