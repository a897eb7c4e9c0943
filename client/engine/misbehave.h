// Clients that behave badly on purpose, to show that a server shrugs them off.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "absl/status/statusor.h"
#include "client/engine/corpus.h"
#include "client/rpc/connection.h"

namespace filo::client {

enum class Misbehaviour {
  kCancel,      // cancels the call at a random moment
  kSlowReader,  // asks, then does not read the answer for seconds
  kDisconnect,  // sends half of a message over a connection of its own, then resets it
};

struct MisbehaviourOptions {
  std::map<Misbehaviour, double> shares;  // of all requests; sum at most 1
  Nanos cancel_within = std::chrono::milliseconds(500);
  Nanos read_after = std::chrono::seconds(2);
  int threads = 16;  // misbehaving requests under way at a time
};

// "cancel=5%,slow-reader=1%,disconnect=0.02".
absl::StatusOr<std::map<Misbehaviour, double>> ParseMisbehaviour(std::string_view text);
std::string NameOf(Misbehaviour kind);

// Runs misbehaving requests on threads of its own; they are counted, but are in no latency. Thread-safe.
class Misbehaver {
 public:
  Misbehaver(const Connection& connection, const Corpus& corpus, std::string method,
             MisbehaviourOptions options);
  ~Misbehaver();

  // Which misbehaviour, if any, a request with this random number in [0, 1) gets.
  std::optional<Misbehaviour> Draw(double point) const;
  // Starts one. False if all threads are busy: it is then not sent.
  bool Start(Misbehaviour kind, std::size_t entry);
  // Ended ones by kind and how: "cancel: CANCELLED" -> 12.
  std::map<std::string, std::uint64_t> Counts() const;

 private:
  void Work();
  std::string Cancel(const CorpusEntry& entry);
  std::string ReadSlowly(const CorpusEntry& entry);
  std::string Disconnect(const CorpusEntry& entry) const;

  const Connection& connection_;
  const Corpus& corpus_;
  std::string method_;
  MisbehaviourOptions options_;
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::pair<Misbehaviour, std::size_t>> queue_;
  std::map<std::string, std::uint64_t> counts_;
  int idle_ = 0;
  std::atomic<bool> stop_{false};
  std::atomic<std::uint64_t> seed_{1};
  std::vector<std::thread> threads_;
};

}  // namespace filo::client
