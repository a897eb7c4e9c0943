// What is sent: requests made ready before the run, so that sending one costs no serialisation.
#pragma once

#include <grpcpp/support/byte_buffer.h>

#include <cstdint>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "filo/v1/detector_service.pb.h"

namespace filo::client {

// One request. Sharing the buffer between calls copies no bytes.
struct CorpusEntry {
  std::string name;      // file, for reports
  std::string category;  // group that weights and latencies go by
  grpc::ByteBuffer request;
  std::string bytes;  // the serialised request, kept for those who need it contiguous (misbehaving clients)
};

struct CorpusOptions {
  std::vector<std::string> photos;  // files, folders, patterns
  // Folders directly below a given folder name the category of their photographs ("corpus/hazelnut/1.jpg")
  // when no category is set in `request`.
  filo::v1::DetectRequest request;               // everything but the image
  std::map<std::string, double> weights;         // category -> share of the requests; missing = 1
  std::size_t max_bytes = std::size_t{1} << 30;  // of all requests together
};

// Immutable once made; thread-safe.
class Corpus {
 public:
  // Reads the photographs. kInvalidArgument if a photograph has no category, a weight names none, or all
  // weights are 0.
  static absl::StatusOr<Corpus> FromPhotos(const CorpusOptions& options);
  // One entry of `size` zero bytes that are no DetectRequest, for servers that do not look.
  static Corpus FromRawBytes(std::size_t size);

  const std::vector<CorpusEntry>& entries() const { return entries_; }
  // An entry: first a category by weight, then one of its photographs evenly.
  std::size_t Pick(std::mt19937_64& random) const;
  std::vector<std::string> Categories() const;

 private:
  void Index(const std::map<std::string, double>& weights);

  std::vector<CorpusEntry> entries_;
  std::vector<std::vector<std::size_t>> groups_;  // entry indices by category
  std::vector<double> cumulative_;                // of the groups' weights, last = 1
};

}  // namespace filo::client
