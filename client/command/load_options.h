// Flags that `load` and `search` share, and what they mean.
#pragma once

#include <CLI/CLI.hpp>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "client/engine/engine.h"
#include "client/report/load_json.h"
#include "client/rpc/connection.h"

namespace filo::client {

struct LoadFlags {
  // What is sent.
  std::vector<std::string> photos;
  std::string category, class_name;
  std::vector<std::string> descriptions, weights;
  std::optional<std::size_t> raw_bytes;
  std::string method = kDetectMethod;
  bool backlog = false;
  bool want_map = false;
  // How it is checked.
  std::string check, check_write;
  double check_tolerance = 0;
  // How it is sent.
  EngineOptions engine;
  bool no_parse = false;
  std::string misbehave;
  std::string metrics_url;
  ConnectionOptions connection;
};

// Adds them; rate and duration are the commands' own.
void AddLoadFlags(CLI::App& app, LoadFlags& flags);

// The pieces of a run, made from the flags. Not movable: the parts refer to each other.
struct LoadSetup {
  std::unique_ptr<Connection> connection;
  std::optional<Corpus> corpus;
  std::optional<Reference> reference;
  RunDescription description;

  const Reference* reference_or_null() const { return reference.has_value() ? &*reference : nullptr; }
};

// Reads the photographs, connects, measures or loads the reference. Fills `flags.engine` where a flag's text
// had to be understood first.
absl::Status PrepareLoad(LoadFlags& flags, LoadSetup& setup);

// Set by SIGINT and SIGTERM once InstallInterrupt() was called; a second signal ends the program.
std::atomic<bool>& Interrupted();
void InstallInterrupt();

}  // namespace filo::client
