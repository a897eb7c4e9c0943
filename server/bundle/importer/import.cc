#include "server/bundle/importer/import.h"

#include <filesystem>
#include <memory>
#include <vector>

#include "fmt/format.h"
#include "fmt/ranges.h"
#include "server/base/file.h"
#include "server/base/status.h"
#include "server/bundle/bundle.h"
#include "server/bundle/expected_tensors.h"
#include "server/bundle/importer/layouts.h"

namespace filo::bundle::importer {
namespace {

constexpr std::uint64_t kMaxTemplate = 1u << 20;

absl::Status Refuse(const Mapper& mapper, const Shapes& expected) {
  const std::vector<std::string> problems = mapper.Check(expected);
  if (problems.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(
      fmt::format("{} ({}): {} tensor{} not fit: {}", mapper.source().path, mapper.source().container,
                  problems.size(), problems.size() == 1 ? " does" : "s do", fmt::join(problems, "; ")));
}

// A source and what was made of it; the mapper points into the source, so both stay where they are.
struct Part {
  TensorSource source;
  std::unique_ptr<Mapper> mapper;
};

absl::StatusOr<std::unique_ptr<Part>> OpenPart(const std::string& path) {
  auto part = std::make_unique<Part>();
  FILO_ASSIGN_OR_RETURN(part->source, OpenTensorSource(path));
  return part;
}

// One import from start to end.
class Job {
 public:
  Job(const ImportOptions& options, const Progress& progress) : options_(options), progress_(progress) {}

  absl::StatusOr<Manifest> Run() {
    FILO_RETURN_IF_ERROR(CheckOptions());
    FILO_RETURN_IF_ERROR(StartManifest());
    FILO_RETURN_IF_ERROR(MapTowers());
    FILO_RETURN_IF_ERROR(MapRest());
    // Sizes that were read off the tensors must make sense before anything is computed from them.
    const absl::Status sizes = CheckSizes(manifest_);
    if (!sizes.ok()) return Annotate(sizes, "the sizes read off the tensors");
    FILO_RETURN_IF_ERROR(CheckTensors());
    FILO_RETURN_IF_ERROR(WriteTensors());
    FILO_RETURN_IF_ERROR(WriteVocabularies());
    FILO_RETURN_IF_ERROR(WriteManifest(options_.out, manifest_));
    return manifest_;
  }

 private:
  absl::Status CheckOptions() const {
    const bool clip = !options_.clip.empty();
    const bool towers = !options_.image_tower.empty() && !options_.text_tower.empty();
    if (clip == towers || (clip && !(options_.image_tower + options_.text_tower).empty())) {
      return absl::InvalidArgumentError("give either --clip, or --image-tower and --text-tower together");
    }
    if (towers && options_.manifest_template.empty()) {
      return absl::InvalidArgumentError(
          "--image-tower and --text-tower need --manifest, which says what is built on them");
    }
    if (options_.filo.empty())
      return absl::InvalidArgumentError("--filo is missing: the heads that FiLo trains");
    return absl::OkStatus();
  }

  absl::Status StartManifest() {
    detect_ = options_.manifest_template.empty();
    if (detect_) {
      manifest_ = PublishedManifest(options_.profile);
      manifest_.image_tower.image_size = options_.image_size;
      manifest_.has_grounding = !options_.grounding.empty();
    } else {
      FILO_ASSIGN_OR_RETURN(const std::string text, ReadFile(options_.manifest_template, kMaxTemplate));
      auto parsed = ParseManifestTemplate(text);
      if (!parsed.ok()) return Annotate(parsed.status(), options_.manifest_template);
      manifest_ = *std::move(parsed);
    }
    if (!options_.name.empty()) manifest_.name = options_.name;
    if (manifest_.has_grounding && options_.grounding.empty()) {
      return absl::InvalidArgumentError("--grounding is missing: the manifest calls for it");
    }
    return absl::OkStatus();
  }

  // Opens a file and lets `map` say what its tensors become.
  template <typename MapFunction>
  absl::StatusOr<Part*> Add(const std::string& path, const MapFunction& map) {
    FILO_ASSIGN_OR_RETURN(std::unique_ptr<Part> part, OpenPart(path));
    FILO_ASSIGN_OR_RETURN(Mapper mapper, map(part->source));
    part->mapper = std::make_unique<Mapper>(std::move(mapper));
    parts_.push_back(std::move(part));
    return parts_.back().get();
  }

  absl::Status MapTowers() {
    if (!options_.clip.empty()) {
      FILO_ASSIGN_OR_RETURN(clip_, Add(options_.clip, MapClip));
      if (!detect_) return absl::OkStatus();
      DetectClip(*clip_->mapper, manifest_.image_tower, manifest_.text_tower);
      // OpenAI trained with QuickGELU; the authors' loader keeps it only at the size of pre-training (spec
      // section 9.2).
      const ImageTower& image = manifest_.image_tower;
      if (image.image_size == image.pretrained_grid * image.patch_size) {
        manifest_.image_tower.activation = manifest_.text_tower.activation = Activation::kQuickGelu;
      }
      return absl::OkStatus();
    }
    FILO_ASSIGN_OR_RETURN(image_, Add(options_.image_tower, MapDinoV2));
    FILO_ASSIGN_OR_RETURN(text_, Add(options_.text_tower, MapBert));
    return absl::OkStatus();
  }

  absl::Status MapRest() {
    const Mapper* clip = clip_ == nullptr ? nullptr : clip_->mapper.get();
    FILO_ASSIGN_OR_RETURN(
        filo_, Add(options_.filo, [&](const TensorSource& source) { return MapFilo(source, clip); }));
    if (detect_) DetectFilo(*filo_->mapper, manifest_);
    if (!manifest_.has_grounding) return absl::OkStatus();
    FILO_ASSIGN_OR_RETURN(grounding_, Add(options_.grounding, [&](const TensorSource& source) {
                            return MapGrounding(source, detect_, manifest_);
                          }));
    return absl::OkStatus();
  }

  absl::Status CheckTensors() const {
    if (clip_ != nullptr) {
      Shapes both = ExpectedImageTower(manifest_.image_tower);
      both.merge(ExpectedTextTower(manifest_.text_tower));
      FILO_RETURN_IF_ERROR(Refuse(*clip_->mapper, both));
    } else {
      FILO_RETURN_IF_ERROR(Refuse(*image_->mapper, ExpectedImageTower(manifest_.image_tower)));
      FILO_RETURN_IF_ERROR(Refuse(*text_->mapper, ExpectedTextTower(manifest_.text_tower)));
    }
    FILO_RETURN_IF_ERROR(Refuse(*filo_->mapper, ExpectedFilo(manifest_)));
    return grounding_ == nullptr ? absl::OkStatus()
                                 : Refuse(*grounding_->mapper, ExpectedGrounding(manifest_));
  }

  // The entry of a role: what the template says, or what can be said of a published file.
  FileEntry& Entry(const std::string& role, const std::string& path, const std::string& provenance) {
    FileEntry& entry = manifest_.files[role];
    if (entry.path.empty()) entry.path = path;
    if (entry.provenance.empty()) entry.provenance = provenance;
    if (entry.licence.empty()) entry.licence = "as stated by the publisher of the file";
    return entry;
  }

  // Fills in size and digest; a digest that the template fixes must come out.
  absl::Status Seal(FileEntry& entry) {
    FILO_ASSIGN_OR_RETURN(const FileEntry found, DescribeFile(options_.out, entry.path, "", ""));
    if (!entry.sha256.empty() && entry.sha256 != found.sha256) {
      return absl::InvalidArgumentError(fmt::format("{}/{} came out with SHA-256 {}; the manifest says {}",
                                                    options_.out, entry.path, found.sha256, entry.sha256));
    }
    entry.sha256 = found.sha256;
    entry.bytes = found.bytes;
    return absl::OkStatus();
  }

  absl::Status WriteFileOf(const std::string& role, const std::string& path,
                           const std::vector<const Part*>& parts,
                           const std::vector<const Mapper*>& references) {
    std::vector<std::string> origins;
    std::vector<const Mapper*> mappers;
    for (const Part* part : parts) {
      origins.push_back(fmt::format("{} ({})", std::filesystem::path(part->source.path).filename().string(),
                                    part->source.container));
      mappers.push_back(part->mapper.get());
    }
    FileEntry& entry = Entry(role, path, fmt::format("Imported from {}.", fmt::join(origins, " and ")));
    FILO_RETURN_IF_ERROR(
        WriteMapped(options_.out + "/" + entry.path, mappers, references, options_.type, progress_));
    return Seal(entry);
  }

  absl::Status WriteTensors() {
    std::error_code failed;
    std::filesystem::create_directories(options_.out, failed);
    if (failed) return FileError("create", options_.out, failed.value());
    std::filesystem::remove(options_.out + "/manifest.json",
                            failed);  // of an older bundle: it would no longer be true
    std::vector<const Mapper*> clip;
    if (clip_ != nullptr) {
      clip.push_back(clip_->mapper.get());
      FILO_RETURN_IF_ERROR(WriteFileOf("image_text_tower", "clip.safetensors", {clip_}, {}));
    } else {
      FILO_RETURN_IF_ERROR(WriteFileOf("image_text_tower", "towers.safetensors", {image_, text_}, {}));
    }
    FILO_RETURN_IF_ERROR(WriteFileOf("filo", "filo.safetensors", {filo_}, clip));
    return grounding_ == nullptr ? absl::OkStatus()
                                 : WriteFileOf("grounding", "grounding.safetensors", {grounding_}, {});
  }

  absl::Status WriteVocabularies() {
    const bool clip = manifest_.text_tower.architecture == TextArchitecture::kClip;
    if (clip) {
      if (options_.clip_vocabulary.empty()) return absl::InvalidArgumentError("--clip-vocabulary is missing");
      FILO_ASSIGN_OR_RETURN(const std::string merges, CanonicalMerges(options_.clip_vocabulary));
      FileEntry& entry = Entry("clip_vocabulary", "clip_merges.txt", "Byte-pair merges of OpenAI's CLIP.");
      FILO_RETURN_IF_ERROR(WriteFile(options_.out + "/" + entry.path, merges));
      FILO_RETURN_IF_ERROR(Seal(entry));
    }
    if (clip && !manifest_.has_grounding) return absl::OkStatus();
    if (options_.bert_vocabulary.empty()) return absl::InvalidArgumentError("--bert-vocabulary is missing");
    constexpr std::uint64_t kMost = 64u << 20;
    FILO_ASSIGN_OR_RETURN(const std::string words, ReadFile(options_.bert_vocabulary, kMost));
    FileEntry& entry =
        Entry("bert_vocabulary", "bert_vocab.txt", "WordPiece vocabulary of bert-base-uncased.");
    FILO_RETURN_IF_ERROR(WriteFile(options_.out + "/" + entry.path, words));
    return Seal(entry);
  }

  const ImportOptions& options_;
  const Progress& progress_;
  Manifest manifest_;
  bool detect_ = false;
  std::vector<std::unique_ptr<Part>> parts_;
  Part *clip_ = nullptr, *image_ = nullptr, *text_ = nullptr, *filo_ = nullptr, *grounding_ = nullptr;
};

}  // namespace

absl::StatusOr<Towers> ImportTowers(const std::string& image_path, const std::string& text_path,
                                    const std::string& out, std::optional<DType> type,
                                    const Progress& progress) {
  FILO_ASSIGN_OR_RETURN(const TensorSource image_source, OpenTensorSource(image_path));
  FILO_ASSIGN_OR_RETURN(const TensorSource text_source, OpenTensorSource(text_path));
  FILO_ASSIGN_OR_RETURN(const Mapper image, MapDinoV2(image_source));
  FILO_ASSIGN_OR_RETURN(const Mapper text, MapBert(text_source));
  Towers towers;
  DetectDinoV2(image, towers.image);
  DetectBert(text, towers.text);
  FILO_RETURN_IF_ERROR(Refuse(image, ExpectedImageTower(towers.image)));
  FILO_RETURN_IF_ERROR(Refuse(text, ExpectedTextTower(towers.text)));
  FILO_RETURN_IF_ERROR(WriteMapped(out, {&image, &text}, {}, type, progress));
  return towers;
}

absl::StatusOr<Manifest> Import(const ImportOptions& options, const Progress& progress) {
  return Job(options, progress).Run();
}

}  // namespace filo::bundle::importer
