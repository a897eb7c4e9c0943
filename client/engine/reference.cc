#include "client/engine/reference.h"

#include <openssl/evp.h>

#include <cmath>
#include <fstream>

#include "client/rpc/error.h"
#include "filo/v1/detector_service.grpc.pb.h"
#include "fmt/format.h"
#include "nlohmann/json.hpp"
#include "server/base/status.h"

namespace filo::client {
namespace {

std::string Sha256Hex(const std::string& bytes) {
  unsigned char hash[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  EVP_Digest(bytes.data(), bytes.size(), hash, &size, EVP_sha256(), nullptr);
  std::string hex;
  for (unsigned int i = 0; i < size; ++i) hex += fmt::format("{:02x}", hash[i]);
  return hex;
}

// A file's place on the disk may change; what is sent does not.
std::string KeyOf(const CorpusEntry& entry) { return Sha256Hex(entry.bytes); }

}  // namespace

ReferenceAnswer MakeReferenceAnswer(const filo::v1::DetectionResult& result) {
  // {:a} prints a double's exact bits.
  std::string text =
      fmt::format("{:a} {:a} {:a} {} {}", result.score(), result.global_score(), result.map_maximum(),
                  static_cast<int>(result.decision().verdict()), result.position());
  for (const auto& box : result.boxes()) {
    const auto& r = box.rectangle();
    text += fmt::format("|{}:{:a}:{}:{:a},{:a},{:a},{:a}", box.phrase(), box.confidence(), box.counts(),
                        r.x_min(), r.y_min(), r.x_max(), r.y_max());
  }
  return {result.score(), Sha256Hex(text)};
}

absl::StatusOr<Reference> Reference::Measure(const Connection& connection, const Corpus& corpus) {
  const auto stub = filo::v1::DetectorService::NewStub(connection.channel());
  Reference reference;
  for (const CorpusEntry& entry : corpus.entries()) {
    filo::v1::DetectRequest request;
    filo::v1::DetectResponse response;
    if (!request.ParseFromString(entry.bytes))
      return absl::InvalidArgumentError("--check needs photographs, not --raw-bytes");
    const grpc::Status status = connection.Call(
        [&](grpc::ClientContext& context) { return stub->Detect(&context, request, &response); });
    if (!status.ok())
      return Annotate(RpcError(status, connection.options().server), "--check: " + entry.name);
    reference.answers_.push_back(MakeReferenceAnswer(response.result()));
  }
  return reference;
}

absl::StatusOr<Reference> Reference::Load(const std::string& path, const Corpus& corpus) {
  FILO_ASSIGN_OR_RETURN(const std::string text, ReadFile("--check", path));
  const auto json = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object() || json.value("format", "") != "filo.reference/1" || !json["answers"].is_object()) {
    return absl::InvalidArgumentError(
        fmt::format("--check: {} is no reference file; make one with --check-write", path));
  }
  Reference reference;
  for (const CorpusEntry& entry : corpus.entries()) {
    const auto found = json["answers"].find(KeyOf(entry));
    if (found == json["answers"].end()) {
      return absl::NotFoundError(
          fmt::format("--check: {} holds no answer for {} as it is asked now; make it anew with "
                      "--check-write",
                      path, entry.name));
    }
    reference.answers_.push_back({found->value("score", 0.0), found->value("digest", "")});
  }
  return reference;
}

absl::Status Reference::Save(const std::string& path, const Corpus& corpus) const {
  nlohmann::json answers = nlohmann::json::object();
  for (std::size_t i = 0; i < answers_.size(); ++i) {
    const CorpusEntry& entry = corpus.entries()[i];
    answers[KeyOf(entry)] = {
        {"file", entry.name}, {"score", answers_[i].score}, {"digest", answers_[i].digest}};
  }
  std::ofstream file(path);
  file << nlohmann::json{{"format", "filo.reference/1"}, {"answers", answers}}.dump(
              1, ' ', false, nlohmann::json::error_handler_t::replace)
       << "\n";
  file.close();
  return file ? absl::OkStatus()
              : absl::FailedPreconditionError(fmt::format("--check-write: cannot write {}", path));
}

bool Reference::Holds(std::size_t entry, const filo::v1::DetectionResult& result) const {
  const ReferenceAnswer& expected = answers_[entry];
  if (tolerance_ > 0) return std::abs(result.score() - expected.score) <= tolerance_;
  return MakeReferenceAnswer(result).digest == expected.digest;
}

}  // namespace filo::client
