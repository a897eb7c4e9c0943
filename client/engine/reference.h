// Right answers to hold a loaded server against: a server that is fast because it answers wrongly has failed.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "client/engine/corpus.h"
#include "client/rpc/connection.h"
#include "filo/v1/result.pb.h"

namespace filo::client {

// What must not depend on load: score and its parts, verdict, position, boxes.
struct ReferenceAnswer {
  double score = 0;
  std::string digest;  // SHA-256 of all of the above, hex
};

ReferenceAnswer MakeReferenceAnswer(const filo::v1::DetectionResult& result);

// Thread-safe once made.
class Reference {
 public:
  // Asks for every entry once, alone, one after the other.
  static absl::StatusOr<Reference> Measure(const Connection& connection, const Corpus& corpus);
  // Reads what Save() wrote. kInvalidArgument if it is not that; kNotFound if it lacks an entry of the
  // corpus.
  static absl::StatusOr<Reference> Load(const std::string& path, const Corpus& corpus);
  absl::Status Save(const std::string& path, const Corpus& corpus) const;

  // Scores may differ by this much; 0 (the default) asks for equality of the digest.
  void set_tolerance(double tolerance) { tolerance_ = tolerance; }
  // `entry` indexes the corpus.
  bool Holds(std::size_t entry, const filo::v1::DetectionResult& result) const;

 private:
  std::vector<ReferenceAnswer> answers_;
  double tolerance_ = 0;
};

}  // namespace filo::client
