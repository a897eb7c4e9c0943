// A model bundle on disk (layout.md): its manifest and its files, opened and checked together. Immutable and
// thread-safe; keep it alive as long as tensors taken from it are used.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/bundle/manifest.h"
#include "server/bundle/tensor_file.h"

namespace filo::bundle {

class Bundle {
 public:
  struct Options {
    // Recompute every file's SHA-256: reads the whole bundle once (about 1 GB/s), which also brings it into
    // the page cache. Without it only sizes are compared.
    bool check_digests = true;
  };

  // kNotFound: no such directory, or a file that the manifest lists is not there. kInvalidArgument:
  // manifest.json is wrong (FieldViolation), or a file's size, digest or safetensors header is; the message
  // names the file.
  static absl::StatusOr<std::shared_ptr<const Bundle>> Open(const std::string& directory,
                                                            const Options& options);

  const std::string& directory() const { return directory_; }
  const Manifest& manifest() const { return manifest_; }
  const std::string& digest() const { return digest_; }  // ManifestDigest
  // The path of the file with this role ("clip_vocabulary"); empty if the bundle has none.
  std::string Path(std::string_view role) const;
  // The tensors of "image_text_tower", "filo", "grounding" or "self_test"; null if the bundle has none.
  const TensorFile* tensors(std::string_view role) const;

  // Every tensor that the manifest calls for is there with its shape, and no other. kInvalidArgument listing
  // all differences by file and tensor.
  absl::Status CheckTensors() const;

 private:
  Bundle() = default;
  absl::Status OpenFile(const std::string& role, const FileEntry& entry, bool check_digest);

  std::string directory_;
  Manifest manifest_;
  std::string digest_;
  std::map<std::string, std::shared_ptr<const TensorFile>, std::less<>> tensors_;
};

// True for the roles whose files are safetensors.
bool IsTensorRole(std::string_view role);

// Fills in path, size and SHA-256 of a file that lies in `directory` already. `path` is relative to it.
absl::StatusOr<FileEntry> DescribeFile(const std::string& directory, const std::string& path,
                                       std::string provenance, std::string licence);

// Checks `manifest` with CheckManifest and writes it as manifest.json, last of all files: a directory without
// it is no bundle yet.
absl::Status WriteManifest(const std::string& directory, const Manifest& manifest);

}  // namespace filo::bundle
