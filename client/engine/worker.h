// One sender/receiver pair of the load generator; see engine.h.
#pragma once

#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "client/engine/engine.h"
#include "client/load/sequencer.h"

namespace filo::client {

// What all workers of a run share; read-only but for the atomics.
struct RunContext {
  const Connection& connection;
  const Corpus& corpus;
  const Reference* reference;
  const EngineOptions& options;
  Misbehaver& misbehaver;
  std::map<std::string, std::size_t> category_index;
  Nanos origin{0};                             // steady clock at the beginning of the warm-up
  std::atomic<std::int64_t> requests_left{0};  // of the measured part, if limited
};

class Worker {
 public:
  Worker(RunContext& context, int index, std::vector<std::shared_ptr<grpc::Channel>> channels);
  ~Worker();

  void Start();
  // No more requests from now on.
  void StopSending();
  bool DoneSending() const { return done_sending_; }
  int InFlight() const { return in_flight_; }
  // Cancels what is still under way and counts it as unfinished.
  void CutOff();
  // Waits for the threads; everything must have ended.
  void Join();

  // Adds what was measured so far. Thread-safe.
  void AddTo(RunStats& stats, std::map<std::string, std::uint64_t>& verdicts) const;

 private:
  struct Call;

  void SendLoop();
  void ReceiveLoop();
  void Pump();
  // The next request that is due, or nullopt.
  std::optional<Nanos> Take();
  void StartCall(Nanos intended);
  void TakeAnswer(Call& call);
  void InspectReply(Call& call, Outcome& outcome);
  Nanos Now() const;  // since the origin

  RunContext& context_;
  std::vector<std::unique_ptr<grpc::GenericStub>> stubs_;
  std::unique_ptr<Sequencer> sequencer_;
  grpc::CompletionQueue queue_;
  std::thread sender_, receiver_;
  std::atomic<bool> stop_{false}, done_sending_{false};
  std::atomic<int> in_flight_{0};

  mutable std::mutex mutex_;  // all below, and the sequencer
  RunStats stats_;
  std::map<std::string, std::uint64_t> verdicts_;
  std::mt19937_64 random_;
  std::size_t next_stub_ = 0;
  std::vector<std::unique_ptr<Call>> calls_;
  std::vector<Call*> free_;
};

}  // namespace filo::client
