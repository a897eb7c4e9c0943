// One photograph's answer, and how photographs are sent.
#pragma once

#include <grpcpp/grpcpp.h>

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "client/detect/input_files.h"
#include "client/rpc/connection.h"
#include "filo/v1/detector_service.pb.h"

namespace filo::client {

struct Answer {
  InputFile file;
  absl::Status unread;  // not OK: the file could not be read and nothing was sent
  grpc::Status status;  // the call's outcome
  filo::v1::DetectionResult result;
  std::string image;  // the file's bytes, kept only when asked for
  int attempts = 0;
  double seconds = 0;  // from the first attempt to the answer
  // The client's --threshold, for servers that judge nothing themselves.
  std::optional<double> threshold;

  bool ok() const { return unread.ok() && status.ok(); }
};

// The server's verdict; where it gave none and a threshold is known, the comparison with that. Unspecified
// for an answer that failed.
filo::v1::Verdict VerdictOf(const Answer& answer);
// "OK", "NG", "UNSURE", or "" for none.
std::string VerdictWord(filo::v1::Verdict verdict);
// The threshold in force, if any.
std::optional<double> ThresholdOf(const Answer& answer);
// One line that says why there is no result.
std::string ErrorLine(const Answer& answer);
// The most confident box that counts (else the most confident of all); null if there is none.
const filo::v1::Box* TopBox(const filo::v1::DetectionResult& result);

struct SendOptions {
  filo::v1::DetectRequest request;  // everything but the image
  std::optional<double> threshold;
  int parallel = 2;
  bool keep_images = false;
  std::size_t max_image_bytes = std::size_t{64} << 20;
};

// Sends the files, `parallel` at a time, and hands every answer over in the order of the files, from one
// thread at a time. Returns after the last. The callback returns false to stop early (answers under way are
// dropped).
void DetectAll(const Connection& connection, const std::vector<InputFile>& files, const SendOptions& options,
               const std::function<bool(Answer)>& on_answer);

}  // namespace filo::client
