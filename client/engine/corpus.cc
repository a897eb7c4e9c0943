#include "client/engine/corpus.h"

#include <algorithm>
#include <filesystem>

#include "client/detect/input_files.h"
#include "fmt/format.h"
#include "server/base/status.h"

namespace filo::client {
namespace {

namespace fs = std::filesystem;

grpc::ByteBuffer ToBuffer(const std::string& bytes) {
  const grpc::Slice slice(bytes);
  return grpc::ByteBuffer(&slice, 1);
}

// Category of a file: what the request says, else its folder's name.
std::string CategoryOf(const filo::v1::DetectRequest& request, const std::string& path) {
  if (request.has_inline_category()) return request.inline_category().class_name();
  if (!request.category().empty()) return request.category();
  return fs::path(path).parent_path().filename().string();
}

}  // namespace

absl::StatusOr<Corpus> Corpus::FromPhotos(const CorpusOptions& options) {
  FILO_ASSIGN_OR_RETURN(const std::vector<InputFile> files, ExpandInputs(options.photos, /*recursive=*/true));
  Corpus corpus;
  std::size_t total = 0;
  for (const InputFile& file : files) {
    FILO_ASSIGN_OR_RETURN(std::string bytes, ReadInput(file, options.max_bytes));
    CorpusEntry entry;
    entry.name = file.name;
    entry.category = CategoryOf(options.request, file.path);
    if (entry.category.empty()) {
      return absl::InvalidArgumentError(
          fmt::format("{} has no category: give --category, or put it into a folder named after its category",
                      file.name));
    }
    filo::v1::DetectRequest request = options.request;
    if (request.category_source_case() == filo::v1::DetectRequest::CATEGORY_SOURCE_NOT_SET) {
      request.set_category(entry.category);
    }
    request.mutable_image()->set_encoded(std::move(bytes));
    entry.bytes = request.SerializeAsString();
    entry.request = ToBuffer(entry.bytes);
    total += entry.bytes.size();
    if (total > options.max_bytes) {
      return absl::InvalidArgumentError(
          fmt::format("the photographs hold more than {} bytes; they are all kept in memory, so give fewer",
                      options.max_bytes));
    }
    corpus.entries_.push_back(std::move(entry));
  }
  const std::vector<std::string> categories = [&] {
    corpus.Index({});
    return corpus.Categories();
  }();
  double sum = 0;
  for (const auto& [category, weight] : options.weights) {
    if (std::find(categories.begin(), categories.end(), category) == categories.end()) {
      return FieldError("--weight", category, "name a category of the photographs");
    }
    if (!(weight >= 0))
      return FieldError("--weight", fmt::format("{}={}", category, weight), "be at least 0");
  }
  for (const std::string& category : categories) {
    const auto found = options.weights.find(category);
    sum += found == options.weights.end() ? 1 : found->second;
  }
  if (!(sum > 0))
    return absl::InvalidArgumentError("--weight: all weights are 0, so there is nothing to send");
  corpus.Index(options.weights);
  return corpus;
}

Corpus Corpus::FromRawBytes(std::size_t size) {
  Corpus corpus;
  CorpusEntry entry;
  entry.name = fmt::format("{} zero bytes", size);
  entry.category = "raw";
  entry.bytes = std::string(size, '\0');
  entry.request = ToBuffer(entry.bytes);
  corpus.entries_.push_back(std::move(entry));
  corpus.Index({});
  return corpus;
}

void Corpus::Index(const std::map<std::string, double>& weights) {
  std::map<std::string, std::vector<std::size_t>> groups;
  for (std::size_t i = 0; i < entries_.size(); ++i) groups[entries_[i].category].push_back(i);
  groups_.clear();
  cumulative_.clear();
  double sum = 0;
  for (const auto& [category, members] : groups) {
    const auto found = weights.find(category);
    sum += found == weights.end() ? 1 : found->second;
    groups_.push_back(members);
    cumulative_.push_back(sum);
  }
  for (double& edge : cumulative_) edge /= sum;
}

std::size_t Corpus::Pick(std::mt19937_64& random) const {
  if (entries_.size() == 1) return 0;
  const double point = std::uniform_real_distribution<double>(0, 1)(random);
  const auto edge = std::upper_bound(cumulative_.begin(), cumulative_.end() - 1, point);
  const auto& group = groups_[static_cast<std::size_t>(edge - cumulative_.begin())];
  return group[std::uniform_int_distribution<std::size_t>(0, group.size() - 1)(random)];
}

std::vector<std::string> Corpus::Categories() const {
  std::vector<std::string> categories;
  for (const auto& group : groups_) categories.push_back(entries_[group.front()].category);
  return categories;
}

}  // namespace filo::client
