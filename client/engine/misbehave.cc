#include "client/engine/misbehave.h"

#include <grpcpp/generic/generic_stub.h>

#include <algorithm>
#include <random>

#include "client/engine/half_request.h"
#include "client/load/parse.h"
#include "client/rpc/error.h"
#include "fmt/format.h"
#include "server/base/status.h"

namespace filo::client {
namespace {

constexpr std::pair<Misbehaviour, const char*> kNames[] = {{Misbehaviour::kCancel, "cancel"},
                                                           {Misbehaviour::kSlowReader, "slow-reader"},
                                                           {Misbehaviour::kDisconnect, "disconnect"}};

std::chrono::system_clock::time_point FromNow(Nanos wait) {
  return std::chrono::system_clock::now() +
         std::chrono::duration_cast<std::chrono::system_clock::duration>(wait);
}

}  // namespace

std::string NameOf(Misbehaviour kind) {
  for (const auto& [known, name] : kNames) {
    if (known == kind) return name;
  }
  return "";
}

absl::StatusOr<std::map<Misbehaviour, double>> ParseMisbehaviour(std::string_view text) {
  constexpr std::string_view kFlag = "--misbehave";
  std::map<Misbehaviour, double> shares;
  double sum = 0;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find(',', begin), text.size());
    const std::string_view part = text.substr(begin, end - begin);
    const std::size_t equals = part.find('=');
    const auto* found = std::find_if(std::begin(kNames), std::end(kNames), [&](const auto& known) {
      return part.substr(0, equals) == known.second;
    });
    if (found == std::end(kNames) || equals == std::string_view::npos) {
      return FieldError(kFlag, part, "be a list of cancel=SHARE, slow-reader=SHARE, disconnect=SHARE");
    }
    FILO_ASSIGN_OR_RETURN(const double share, ParseShare(kFlag, part.substr(equals + 1)));
    shares[found->first] = share;
    sum += share;
    begin = end + 1;
  }
  if (sum > 1) return FieldError(kFlag, text, "add up to at most 100%");
  return shares;
}

Misbehaver::Misbehaver(const Connection& connection, const Corpus& corpus, std::string method,
                       MisbehaviourOptions options)
    : connection_(connection), corpus_(corpus), method_(std::move(method)), options_(std::move(options)) {
  if (options_.shares.empty()) return;
  idle_ = options_.threads;
  for (int i = 0; i < options_.threads; ++i) threads_.emplace_back([this] { Work(); });
}

Misbehaver::~Misbehaver() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stop_ = true;
  }
  wake_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

std::optional<Misbehaviour> Misbehaver::Draw(double point) const {
  for (const auto& [kind, share] : options_.shares) {
    if (point < share) return kind;
    point -= share;
  }
  return std::nullopt;
}

bool Misbehaver::Start(Misbehaviour kind, std::size_t entry) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (idle_ <= static_cast<int>(queue_.size())) {
    ++counts_[NameOf(kind) + ": not sent"];
    return false;
  }
  queue_.emplace_back(kind, entry);
  wake_.notify_one();
  return true;
}

std::map<std::string, std::uint64_t> Misbehaver::Counts() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return counts_;
}

void Misbehaver::Work() {
  std::unique_lock<std::mutex> lock(mutex_);
  for (;;) {
    wake_.wait(lock, [this] { return stop_ || !queue_.empty(); });
    if (stop_) return;
    const auto [kind, index] = queue_.front();
    queue_.pop_front();
    --idle_;
    lock.unlock();
    const CorpusEntry& entry = corpus_.entries()[index];
    const std::string how = kind == Misbehaviour::kCancel       ? Cancel(entry)
                            : kind == Misbehaviour::kSlowReader ? ReadSlowly(entry)
                                                                : Disconnect(entry);
    lock.lock();
    ++idle_;
    ++counts_[NameOf(kind) + ": " + how];
  }
}

std::string Misbehaver::Cancel(const CorpusEntry& entry) {
  std::mt19937_64 random(seed_++);
  const Nanos wait =
      Seconds(std::uniform_real_distribution<double>(0, ToSeconds(options_.cancel_within))(random));
  grpc::ClientContext context;
  connection_.Prepare(context);
  grpc::CompletionQueue queue;
  grpc::GenericStub stub(connection_.channel());
  auto call = stub.PrepareUnaryCall(&context, method_, entry.request, &queue);
  grpc::ByteBuffer reply;
  grpc::Status status;
  call->StartCall();
  call->Finish(&reply, &status, &status);
  void* tag = nullptr;
  bool ok = false;
  if (queue.AsyncNext(&tag, &ok, FromNow(wait)) != grpc::CompletionQueue::GOT_EVENT) {
    context.TryCancel();
    queue.Next(&tag, &ok);
  }
  return CodeName(status.error_code());
}

std::string Misbehaver::ReadSlowly(const CorpusEntry& entry) {
  grpc::ClientContext context;
  connection_.Prepare(context);
  grpc::CompletionQueue queue;
  // A channel of its own, so that nobody else's reading empties the socket.
  grpc::GenericStub stub(connection_.NewChannel());
  auto call = stub.PrepareCall(&context, method_, &queue);
  void* tag = nullptr;
  bool ok = false;
  grpc::Status status;
  grpc::ByteBuffer reply;
  call->StartCall(&queue);
  queue.Next(&tag, &ok);
  if (ok) {
    call->WriteLast(entry.request, grpc::WriteOptions(), &queue);
    queue.Next(&tag, &ok);
  }
  const auto until = std::chrono::steady_clock::now() + options_.read_after;
  while (ok && !stop_ && std::chrono::steady_clock::now() < until)
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  if (ok) {
    call->Read(&reply, &queue);
    queue.Next(&tag, &ok);
  }
  call->Finish(&status, &queue);
  queue.Next(&tag, &ok);
  return CodeName(status.error_code());
}

std::string Misbehaver::Disconnect(const CorpusEntry& entry) const {
  if (connection_.uses_tls()) {
    // Without a TLS stack of our own the rudest thing left is to drop the channel in the middle of the call.
    grpc::ClientContext context;
    connection_.Prepare(context);
    grpc::CompletionQueue queue;
    auto channel = connection_.NewChannel();
    grpc::GenericStub stub(channel);
    auto call = stub.PrepareUnaryCall(&context, method_, entry.request, &queue);
    grpc::ByteBuffer reply;
    grpc::Status status;
    call->StartCall();
    call->Finish(&reply, &status, &status);
    context.TryCancel();
    void* tag = nullptr;
    bool ok = false;
    queue.Next(&tag, &ok);
    return "channel dropped";
  }
  const absl::Status sent =
      SendHalfARequest(connection_.options().server, method_, connection_.authorization(), entry.bytes);
  return sent.ok() ? "reset in mid-message" : "could not connect";
}

}  // namespace filo::client
