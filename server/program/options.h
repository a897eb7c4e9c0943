// filo-server's command line, environment and settings file.
#pragma once

#include <optional>
#include <string>

#include "server/rpc/server.h"
#include "server/telemetry/log.h"

namespace filo::program {

struct Settings {
  std::string bundle;                      // directory of the model bundle
  std::string categories;                  // JSON file with categories; empty = the built-in ones only
  std::string metrics = "127.0.0.1:9464";  // empty = no metrics endpoint
  std::string port_file;                   // where the bound addresses are written; empty = nowhere
  std::string device = "cpu";
  int workers = 0;          // requests computed at a time; 0 = one, with all cores
  int threads = 0;          // threads per request; 0 = cores / workers
  double drain_notice = 0;  // seconds
  double drain_grace = 30;  // seconds
  rpc::ServerOptions server;
  telemetry::LogOptions log;
};

struct Parsed {
  std::optional<Settings> settings;  // unset: print `text` and exit with `code`
  std::string text;
  bool is_error = false;
  int code = 0;  // 0 after --help and --version, 2 after a usage error
};

// A flag goes before the environment (--max-image-bytes: FILO_MAX_IMAGE_BYTES), the environment before the
// settings file (--config FILE or FILO_CONFIG; "max-image-bytes = 1000000", # begins a comment). Reads the
// environment; not thread-safe.
Parsed ParseCommandLine(int argc, const char* const* argv);

}  // namespace filo::program
