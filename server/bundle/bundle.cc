#include "server/bundle/bundle.h"

#include <utility>

#include "fmt/format.h"
#include "fmt/ranges.h"
#include "server/base/file.h"
#include "server/base/sha256.h"
#include "server/base/status.h"
#include "server/bundle/expected_tensors.h"

namespace filo::bundle {
namespace {

constexpr std::uint64_t kMaxManifestBytes = 1u << 20;
constexpr char kManifestName[] = "/manifest.json";

}  // namespace

bool IsTensorRole(std::string_view role) {
  return role == "image_text_tower" || role == "filo" || role == "grounding" || role == "self_test";
}

absl::StatusOr<std::shared_ptr<const Bundle>> Bundle::Open(const std::string& directory,
                                                           const Options& options) {
  std::shared_ptr<Bundle> bundle(new Bundle);
  bundle->directory_ = directory;
  FILO_ASSIGN_OR_RETURN(const std::string text, ReadFile(directory + kManifestName, kMaxManifestBytes));
  auto manifest = ParseManifest(text);
  if (!manifest.ok()) return Annotate(manifest.status(), directory);
  bundle->manifest_ = *std::move(manifest);
  bundle->digest_ = ManifestDigest(bundle->manifest_);
  for (const auto& [role, entry] : bundle->manifest_.files) {
    FILO_RETURN_IF_ERROR(bundle->OpenFile(role, entry, options.check_digests));
  }
  return bundle;
}

absl::Status Bundle::OpenFile(const std::string& role, const FileEntry& entry, bool check_digest) {
  const std::string path = Path(role);
  FILO_ASSIGN_OR_RETURN(const std::shared_ptr<const MappedFile> mapped, MappedFile::Open(path));
  if (mapped->bytes().size() != entry.bytes) {
    return absl::InvalidArgumentError(
        fmt::format("{} has {} bytes; manifest.json says {}: it is cut off or was changed", path,
                    mapped->bytes().size(), entry.bytes));
  }
  if (check_digest) {
    const std::string digest = Sha256Hex(mapped->bytes());
    if (digest != entry.sha256) {
      return absl::InvalidArgumentError(
          fmt::format("{} has SHA-256 {}; manifest.json says {}: it is damaged or was changed", path, digest,
                      entry.sha256));
    }
  }
  if (!IsTensorRole(role)) return absl::OkStatus();
  FILO_ASSIGN_OR_RETURN(tensors_[role], TensorFile::Open(path));
  return absl::OkStatus();
}

std::string Bundle::Path(std::string_view role) const {
  const auto entry = manifest_.files.find(std::string(role));
  return entry == manifest_.files.end() ? "" : fmt::format("{}/{}", directory_, entry->second.path);
}

const TensorFile* Bundle::tensors(std::string_view role) const {
  const auto file = tensors_.find(role);
  return file == tensors_.end() ? nullptr : file->second.get();
}

absl::Status Bundle::CheckTensors() const {
  std::vector<std::string> problems;
  for (const auto& [role, expected] : ExpectedTensors(manifest_)) {
    for (const std::string& difference : Differences(tensors_.at(role)->tensors(), expected)) {
      problems.push_back(fmt::format("{}: {}", manifest_.files.at(role).path, difference));
    }
  }
  if (problems.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(fmt::format("{}: {} tensors do not fit the manifest: {}", directory_,
                                                problems.size(), fmt::join(problems, "; ")));
}

absl::StatusOr<FileEntry> DescribeFile(const std::string& directory, const std::string& path,
                                       std::string provenance, std::string licence) {
  FILO_ASSIGN_OR_RETURN(const auto mapped, MappedFile::Open(fmt::format("{}/{}", directory, path)));
  return FileEntry{path, Sha256Hex(mapped->bytes()), mapped->bytes().size(), std::move(provenance),
                   std::move(licence)};
}

absl::Status WriteManifest(const std::string& directory, const Manifest& manifest) {
  FILO_RETURN_IF_ERROR(CheckManifest(manifest));
  return WriteFile(directory + kManifestName, SerialiseManifest(manifest));
}

}  // namespace filo::bundle
