#include "client/engine/worker.h"

#include <sys/prctl.h>

#include <algorithm>

#include "client/detect/answer.h"
#include "filo/v1/detector_service.pb.h"

namespace filo::client {
namespace {

// Above some thousand requests a second a wake-up for each would cost more than sending; requests are then
// started together, at most this late. It is part of the latency from the intended start, and shows as send
// lag.
constexpr Nanos kShortestSleep = std::chrono::microseconds(100);
// How soon a sleeping sender notices that it is to stop, and a closed loop that thinking is over.
constexpr Nanos kLongestSleep = std::chrono::milliseconds(5);

Nanos SteadyNow() { return std::chrono::steady_clock::now().time_since_epoch(); }

// Reads the reply without copying where it is one piece, as small replies are.
bool Parse(const grpc::ByteBuffer& buffer, filo::v1::DetectResponse& response) {
  grpc::Slice single;
  if (buffer.TrySingleSlice(&single).ok())
    return response.ParseFromArray(single.begin(), static_cast<int>(single.size()));
  grpc::Slice all;
  return buffer.DumpToSingleSlice(&all).ok() &&
         response.ParseFromArray(all.begin(), static_cast<int>(all.size()));
}

}  // namespace

struct Worker::Call {
  std::optional<grpc::ClientContext> context;
  std::unique_ptr<grpc::GenericClientAsyncResponseReader> reader;
  grpc::ByteBuffer reply;
  grpc::Status status;
  Nanos intended{0}, started{0};
  std::size_t entry = 0;
  bool active = false;
  bool cut_off = false;
  // Kept between calls so that parsing reuses its memory.
  filo::v1::DetectResponse response;
};

Worker::Worker(RunContext& context, int index, std::vector<std::shared_ptr<grpc::Channel>> channels)
    : context_(context), random_(context.options.seed * 1'000'003 + static_cast<std::uint64_t>(index)) {
  for (auto& channel : channels) stubs_.push_back(std::make_unique<grpc::GenericStub>(channel));
  const EngineOptions& options = context.options;
  const int share = options.threads;
  if (!options.make_limiter) {
    const int mine = options.concurrency / share + (index < options.concurrency % share ? 1 : 0);
    sequencer_ = MakeClosedLoop(mine, options.think);
    return;
  }
  std::unique_ptr<RateLimiter> limiter = options.make_limiter();
  if (options.warm_up > Nanos(0)) {
    const auto profile = RateProfile::Constant(std::max(1.0, limiter->RateAt(Nanos(0))));
    auto warm_up = MakeProfileLimiter(*profile, Arrivals::kPoisson, options.seed + 1);
    limiter = MakeWarmUpLimiter(std::move(warm_up), options.warm_up, std::move(limiter));
  }
  limiter = MakeUntilLimiter(std::move(limiter), options.warm_up + options.duration);
  limiter = MakeShareLimiter(std::move(limiter), index, share);
  const int cap = std::max(1, options.max_in_flight / share);
  // Called by Take(), which holds the mutex.
  sequencer_ = MakeOpenLoop(std::move(limiter), cap, [this](Nanos intended) {
    stats_.RecordNotSent(intended - context_.options.warm_up);
  });
}

Worker::~Worker() = default;

Nanos Worker::Now() const { return SteadyNow() - context_.origin; }

void Worker::Start() {
  receiver_ = std::thread([this] { ReceiveLoop(); });
  sender_ = std::thread([this] { SendLoop(); });
}

void Worker::StopSending() {
  const std::lock_guard<std::mutex> lock(mutex_);
  stop_ = true;
}

void Worker::Join() {
  if (sender_.joinable()) sender_.join();
  queue_.Shutdown();
  if (receiver_.joinable()) receiver_.join();
}

void Worker::SendLoop() {
  prctl(PR_SET_TIMERSLACK, 1000UL, 0UL, 0UL, 0UL);
  SteadyClock clock;
  while (!stop_) {
    Pump();
    std::optional<Nanos> due;
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      if (sequencer_->Finished()) break;
      due = sequencer_->NextDue();
    }
    const Nanos now = Now();
    if (!context_.options.make_limiter && now >= context_.options.warm_up + context_.options.duration) break;
    const Nanos wake =
        std::clamp(due.value_or(now + kLongestSleep), now + kShortestSleep, now + kLongestSleep);
    clock.SleepUntil(context_.origin + wake);
  }
  done_sending_ = true;
}

std::optional<Nanos> Worker::Take() {
  const EngineOptions& options = context_.options;
  const std::lock_guard<std::mutex> lock(mutex_);
  const Nanos now = Now();
  if (stop_ || (!options.make_limiter && now >= options.warm_up + options.duration)) return std::nullopt;
  const std::optional<Nanos> intended = sequencer_->Take(now);
  if (!intended.has_value()) return std::nullopt;
  if (options.max_requests > 0 && *intended >= options.warm_up && --context_.requests_left < 0) {
    sequencer_->Done(now);
    stop_ = true;
    return std::nullopt;
  }
  // Counted here, under the lock, so that after StopSending() nothing can start unseen.
  ++in_flight_;
  return intended;
}

void Worker::Pump() {
  while (const std::optional<Nanos> intended = Take()) StartCall(*intended);
}

void Worker::StartCall(Nanos intended) {
  Call* call = nullptr;
  grpc::GenericStub* stub = nullptr;
  const Nanos since_measured = intended - context_.options.warm_up;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    const std::size_t entry = context_.corpus.Pick(random_);
    if (!context_.options.misbehaviour.shares.empty()) {
      const auto kind = context_.misbehaver.Draw(std::uniform_real_distribution<double>(0, 1)(random_));
      if (kind.has_value()) {
        context_.misbehaver.Start(*kind, entry);
        sequencer_->Done(Now());
        --in_flight_;
        return;
      }
    }
    if (free_.empty()) {
      calls_.push_back(std::make_unique<Call>());
      free_.push_back(calls_.back().get());
    }
    call = free_.back();
    free_.pop_back();
    call->entry = entry;
    call->intended = intended;
    call->started = Now();
    call->context.emplace();
    context_.connection.Prepare(*call->context);
    call->active = true;
    stub = stubs_[next_stub_++ % stubs_.size()].get();
    stats_.RecordStart(since_measured, call->started - context_.options.warm_up);
    call->reader = stub->PrepareUnaryCall(&*call->context, context_.options.method,
                                          context_.corpus.entries()[entry].request, &queue_);
  }
  call->reader->StartCall();
  call->reader->Finish(&call->reply, &call->status, call);
}

void Worker::ReceiveLoop() {
  void* tag = nullptr;
  bool ok = false;
  while (queue_.Next(&tag, &ok)) {
    TakeAnswer(*static_cast<Call*>(tag));
    Pump();
  }
}

void Worker::InspectReply(Call& call, Outcome& outcome) {
  call.response.Clear();
  if (!Parse(call.reply, call.response)) {
    outcome.wrong = true;
    return;
  }
  if (context_.reference != nullptr)
    outcome.wrong = !context_.reference->Holds(call.entry, call.response.result());
}

void Worker::TakeAnswer(Call& call) {
  Outcome outcome;
  outcome.ended = Now() - context_.options.warm_up;
  outcome.intended = call.intended - context_.options.warm_up;
  outcome.started = call.started - context_.options.warm_up;
  outcome.code = call.status.error_code();
  const CorpusEntry& entry = context_.corpus.entries()[call.entry];
  outcome.category = context_.category_index.at(entry.category);
  outcome.request_bytes = entry.request.Length();
  outcome.reply_bytes = call.reply.Length();
  const bool inspect = context_.options.parse_replies && call.status.ok();
  if (inspect) InspectReply(call, outcome);

  const std::lock_guard<std::mutex> lock(mutex_);
  outcome.unfinished = call.cut_off && !call.status.ok();
  stats_.RecordEnd(outcome);
  if (inspect && outcome.intended >= Nanos(0)) {
    for (const auto& stage : call.response.result().stage_times())
      stats_.RecordStage(stage.stage(), stage.seconds());
    const std::string word = VerdictWord(call.response.result().decision().verdict());
    ++verdicts_[word.empty() ? "none" : word];
  }
  sequencer_->Done(outcome.ended + context_.options.warm_up);
  call.active = false;
  call.cut_off = false;
  call.reader.reset();
  call.context.reset();
  call.reply.Clear();
  call.status = grpc::Status();
  free_.push_back(&call);
  --in_flight_;
}

void Worker::CutOff() {
  const std::lock_guard<std::mutex> lock(mutex_);
  for (const auto& call : calls_) {
    if (!call->active || call->cut_off) continue;
    call->cut_off = true;
    call->context->TryCancel();
  }
}

void Worker::AddTo(RunStats& stats, std::map<std::string, std::uint64_t>& verdicts) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  stats.Merge(stats_);
  for (const auto& [verdict, count] : verdicts_) verdicts[verdict] += count;
}

}  // namespace filo::client
