#include "client/detect/answer.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <map>
#include <mutex>
#include <thread>
#include <utility>

#include "client/rpc/error.h"
#include "filo/v1/detector_service.grpc.pb.h"
#include "fmt/format.h"

namespace filo::client {
namespace {

Answer DetectOne(const Connection& connection, filo::v1::DetectorService::Stub& stub, const InputFile& file,
                 const SendOptions& options) {
  Answer answer;
  answer.file = file;
  answer.threshold = options.threshold;
  auto bytes = ReadInput(file, options.max_image_bytes);
  if (!bytes.ok()) {
    answer.unread = bytes.status();
    return answer;
  }
  filo::v1::DetectRequest request = options.request;
  if (options.keep_images) answer.image = *bytes;
  request.mutable_image()->set_encoded(*std::move(bytes));
  const auto start = std::chrono::steady_clock::now();
  answer.status = connection.Call(
      [&](grpc::ClientContext& context) {
        filo::v1::DetectResponse response;
        const grpc::Status status = stub.Detect(&context, request, &response);
        if (status.ok()) answer.result = std::move(*response.mutable_result());
        return status;
      },
      &answer.attempts);
  answer.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return answer;
}

// Brings answers that finish in any order back into the order of the files.
class Reorder {
 public:
  explicit Reorder(const std::function<bool(Answer)>& on_answer) : on_answer_(on_answer) {}

  // False once the receiver wants no more.
  bool Put(std::size_t index, Answer answer) {
    const std::lock_guard<std::mutex> lock(mutex_);
    waiting_.emplace(index, std::move(answer));
    for (auto it = waiting_.find(next_); it != waiting_.end() && wanted_; it = waiting_.find(next_)) {
      wanted_ = on_answer_(std::move(it->second));
      waiting_.erase(it);
      ++next_;
    }
    return wanted_;
  }

 private:
  const std::function<bool(Answer)>& on_answer_;
  std::mutex mutex_;
  std::map<std::size_t, Answer> waiting_;
  std::size_t next_ = 0;
  bool wanted_ = true;
};

}  // namespace

filo::v1::Verdict VerdictOf(const Answer& answer) {
  if (!answer.ok()) return filo::v1::VERDICT_UNSPECIFIED;
  const filo::v1::Verdict verdict = answer.result.decision().verdict();
  if (verdict != filo::v1::VERDICT_UNSPECIFIED || !answer.threshold.has_value()) return verdict;
  return answer.result.score() >= *answer.threshold ? filo::v1::VERDICT_NG : filo::v1::VERDICT_OK;
}

std::string VerdictWord(filo::v1::Verdict verdict) {
  switch (verdict) {
    case filo::v1::VERDICT_OK:
      return "OK";
    case filo::v1::VERDICT_NG:
      return "NG";
    case filo::v1::VERDICT_UNSURE:
      return "UNSURE";
    default:
      return "";
  }
}

std::optional<double> ThresholdOf(const Answer& answer) {
  if (answer.result.decision().has_threshold()) return answer.result.decision().threshold();
  return answer.threshold;
}

std::string ErrorLine(const Answer& answer) {
  if (!answer.unread.ok()) return std::string(answer.unread.message());
  return ShortError(answer.status);
}

const filo::v1::Box* TopBox(const filo::v1::DetectionResult& result) {
  const filo::v1::Box* top = nullptr;
  for (const auto& box : result.boxes()) {
    if (top == nullptr ||
        std::pair(box.counts(), box.confidence()) > std::pair(top->counts(), top->confidence())) {
      top = &box;
    }
  }
  return top;
}

void DetectAll(const Connection& connection, const std::vector<InputFile>& files, const SendOptions& options,
               const std::function<bool(Answer)>& on_answer) {
  const auto stub = filo::v1::DetectorService::NewStub(connection.channel());
  Reorder reorder(on_answer);
  std::atomic<std::size_t> next{0};
  std::atomic<bool> wanted{true};
  const auto work = [&] {
    for (std::size_t i = next++; i < files.size() && wanted; i = next++) {
      if (!reorder.Put(i, DetectOne(connection, *stub, files[i], options))) wanted = false;
    }
  };
  std::vector<std::thread> workers;
  const std::size_t count =
      std::min<std::size_t>(static_cast<std::size_t>(std::max(options.parallel, 1)), files.size());
  for (std::size_t i = 0; i < count; ++i) workers.emplace_back(work);
  for (std::thread& worker : workers) worker.join();
}

}  // namespace filo::client
