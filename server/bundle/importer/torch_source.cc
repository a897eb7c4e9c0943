// Files of torch.save (ZIP since 1.6, and the older kind) and TorchScript archives, flattened: a tensor in
// {"model": {"a.b": t}} is called "model.a.b"; one in attribute w of TorchScript's submodule m is called
// "m.w".
#include <cstring>
#include <map>
#include <set>
#include <utility>

#include "fmt/format.h"
#include "server/base/status.h"
#include "server/bundle/importer/pickle.h"
#include "server/bundle/importer/tensor_source.h"
#include "server/bundle/importer/zip_archive.h"
#include "server/bundle/strict_json.h"

namespace filo::bundle::importer {
namespace {

using Kind = PickleValue::Kind;

constexpr std::uint64_t kMaxPickle = 64u << 20;
constexpr int kDeepest = 64;
constexpr std::size_t kMostVisits = 4u << 20;

// The bytes behind a storage's key.
using Storages = std::map<std::string, std::span<const std::byte>>;

class Flattener {
 public:
  Flattener(const Pickle& pickle, const Storages& storages, TensorSource& source)
      : pickle_(pickle), storages_(storages), source_(source) {}

  absl::Status Walk(PickleRef ref, const std::string& name, int depth) {
    if (++visits_ > kMostVisits) return absl::InvalidArgumentError("repeats its contents without end");
    if (depth > kDeepest || !open_.insert(ref).second) {
      return absl::InvalidArgumentError(
          fmt::format("contains itself or is nested too deeply at {}", Shown(name)));
    }
    const absl::Status status = WalkInside(pickle_[ref], name, depth);
    open_.erase(ref);
    return status;
  }

 private:
  absl::Status WalkInside(const PickleValue& value, const std::string& name, int depth) {
    const std::string before = name.empty() ? "" : name + ".";
    if (value.kind == Kind::kTensor) return Add(value, name);
    if (value.kind == Kind::kObject && !value.items.empty()) return Walk(value.items[0], name, depth + 1);
    if (value.kind == Kind::kDict) {
      for (std::size_t i = 0; i + 1 < value.items.size(); i += 2) {
        const PickleValue& key = pickle_[value.items[i]];
        const std::string part = key.kind == Kind::kText  ? key.text
                                 : key.kind == Kind::kInt ? fmt::to_string(key.integer)
                                                          : "?";
        FILO_RETURN_IF_ERROR(Walk(value.items[i + 1], before + part, depth + 1));
      }
    }
    if (value.kind == Kind::kList || value.kind == Kind::kTuple) {
      for (std::size_t i = 0; i < value.items.size(); ++i) {
        FILO_RETURN_IF_ERROR(Walk(value.items[i], before + fmt::to_string(i), depth + 1));
      }
    }
    return absl::OkStatus();
  }

  absl::Status Add(const PickleValue& value, const std::string& name) {
    const auto refuse = [&](std::string_view why) {
      return absl::InvalidArgumentError(fmt::format("holds tensor {}, which {}", Shown(name), why));
    };
    const PickleValue& storage = pickle_[value.storage];
    const auto found = storages_.find(storage.text);
    if (found == storages_.end())
      return refuse(fmt::format("has no storage {} in the file", Shown(storage.text)));
    const std::size_t size = DTypeBytes(storage.dtype);
    if (storage.integer < 0 || static_cast<std::uint64_t>(storage.integer) != found->second.size() / size ||
        found->second.size() % size != 0) {
      return refuse(
          fmt::format("has a storage of {} elements in {} bytes", storage.integer, found->second.size()));
    }
    if (value.integer < 0 || value.integer > storage.integer) return refuse("begins outside its storage");
    SourceTensor tensor{storage.dtype, value.shape, value.strides,
                        found->second.subspan(static_cast<std::size_t>(value.integer) * size)};
    const absl::Status inside = CheckInside(tensor);
    if (!inside.ok()) return refuse(std::string(inside.message()));
    if (!source_.tensors.emplace(name, std::move(tensor)).second) return refuse("is there twice");
    return absl::OkStatus();
  }

  const Pickle& pickle_;
  const Storages& storages_;
  TensorSource& source_;
  std::set<PickleRef> open_;
  std::size_t visits_ = 0;
};

absl::StatusOr<std::string> FindPickle(const ZipArchive& archive) {
  constexpr std::string_view kName = "/data.pkl";
  std::string found;
  for (const auto& [name, entry] : archive.entries()) {
    if (!name.ends_with(kName) || name.find('/') != name.size() - kName.size()) continue;
    if (!found.empty()) return absl::InvalidArgumentError("is a ZIP file with two data.pkl");
    found = name;
  }
  if (found.empty())
    return absl::InvalidArgumentError("is a ZIP file, but not one of PyTorch: it has no data.pkl");
  return found;
}

absl::Status ReadArchive(std::span<const std::byte> bytes, TensorSource& source) {
  FILO_ASSIGN_OR_RETURN(const ZipArchive archive, ZipArchive::Open(bytes));
  FILO_ASSIGN_OR_RETURN(const std::string name, FindPickle(archive));
  const std::string folder = name.substr(0, name.find('/') + 1);
  if (archive.entries().contains(folder + "byteorder")) {
    FILO_ASSIGN_OR_RETURN(const std::string order, archive.Read(folder + "byteorder", 16));
    if (order != "little") return absl::InvalidArgumentError("was written on a big-endian machine");
  }
  source.container =
      archive.entries().contains(folder + "constants.pkl") ? "TorchScript archive" : "PyTorch archive";
  FILO_ASSIGN_OR_RETURN(const std::string text, archive.Read(name, kMaxPickle));
  FILO_ASSIGN_OR_RETURN(const Pickle pickle, ReadPickle(std::as_bytes(std::span(text))));
  Storages storages;
  const std::string data = folder + "data/";
  for (const auto& [entry, contents] : archive.entries()) {
    if (!entry.starts_with(data)) continue;
    FILO_ASSIGN_OR_RETURN(storages[entry.substr(data.size())], archive.Stored(entry));
  }
  return Flattener(pickle, storages, source).Walk(pickle.root, "", 0);
}

// Before PyTorch 1.6: five pickles (magic number, version, system, object, list of keys), then each storage
// as its number of elements and its bytes.
absl::Status ReadLegacy(std::span<const std::byte> bytes, TensorSource& source) {
  source.container = "PyTorch file, old kind";
  constexpr int kObject = 3, kKeys = 4;
  std::vector<Pickle> pickles;
  for (int i = 0; i <= kKeys; ++i) {
    FILO_ASSIGN_OR_RETURN(Pickle pickle, ReadPickle(bytes));
    bytes = bytes.subspan(pickle.bytes);
    pickles.push_back(std::move(pickle));
  }
  std::map<std::string, std::size_t> sizes;  // of one element
  for (const PickleValue& value : pickles[kObject].values) {
    if (value.kind == Kind::kStorage) sizes[value.text] = DTypeBytes(value.dtype);
  }
  Storages storages;
  for (const PickleRef ref : pickles[kKeys][pickles[kKeys].root].items) {
    const std::string& key = pickles[kKeys][ref].text;
    std::uint64_t elements = 0;
    if (bytes.size() < sizeof elements) return absl::InvalidArgumentError("is cut off");
    std::memcpy(&elements, bytes.data(), sizeof elements);
    bytes = bytes.subspan(sizeof elements);
    const std::size_t size = sizes.contains(key) ? sizes[key] : 0;
    if (size == 0 || elements > bytes.size() / size) {
      return absl::InvalidArgumentError(
          fmt::format("has a storage {} that is cut off or not used", Shown(key)));
    }
    storages[key] = bytes.first(elements * size);
    bytes = bytes.subspan(elements * size);
  }
  return Flattener(pickles[kObject], storages, source).Walk(pickles[kObject].root, "", 0);
}

}  // namespace

absl::StatusOr<TensorSource> OpenTorch(std::shared_ptr<const MappedFile> file) {
  TensorSource source{file->path(), "", {}, {file}};
  const bool zip = file->bytes()[0] == std::byte{'P'};
  FILO_RETURN_IF_ERROR(zip ? ReadArchive(file->bytes(), source) : ReadLegacy(file->bytes(), source));
  if (source.tensors.empty()) return absl::InvalidArgumentError("holds no tensor");
  return source;
}

}  // namespace filo::bundle::importer
