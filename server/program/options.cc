#include "server/program/options.h"

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <fstream>
#include <map>
#include <sstream>

#include "CLI/CLI.hpp"
#include "fmt/format.h"

namespace filo::program {
namespace {

constexpr char kSummary[] =
    "Finds defects on products it was never trained on, over gRPC.\n"
    "Exit codes: 0 stopped as asked, 2 wrong usage, 3 failed.";
constexpr char kFooter[] =
    "Every flag may also be set in the environment (--max-image-bytes: FILO_MAX_IMAGE_BYTES) or in the "
    "settings file.";
constexpr int kUsage = 2;

std::string EnvironmentName(const std::string& flag) {
  std::string name = "FILO_";
  for (const char c : flag) {
    name.push_back(c == '-' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c))));
  }
  return name;
}

std::string Trim(const std::string& text) {
  const std::size_t begin = text.find_first_not_of(" \t\r");
  return begin == std::string::npos ? "" : text.substr(begin, text.find_last_not_of(" \t\r") - begin + 1);
}

// CLI11 would let its own settings file go before the environment. Here the lines of the file become
// arguments in front of the environment's, and both in front of the command line; the last one said wins.
std::string ReadSettings(const std::string& path, const CLI::App& app,
                         std::map<std::string, std::string>* values) {
  std::ifstream file(path);
  if (!file) return fmt::format("--config: {} cannot be read", path);
  std::string line;
  for (int number = 1; std::getline(file, line); ++number) {
    line = Trim(line);
    if (line.empty() || line[0] == '#') continue;
    const std::size_t equals = line.find('=');
    const std::string name = Trim(line.substr(0, equals));
    if (equals == std::string::npos || name.empty())
      return fmt::format("{}:{}: not name = value", path, number);
    if (name == "config" || app.get_option_no_throw("--" + name) == nullptr) {
      return fmt::format("{}:{}: there is no flag --{}", path, number, name);
    }
    (*values)[name] = Trim(line.substr(equals + 1));
  }
  return "";
}

std::string ConfigPath(int argc, const char* const* argv) {
  std::string path = std::getenv("FILO_CONFIG") == nullptr ? "" : std::getenv("FILO_CONFIG");
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    if (argument == "--config" && i + 1 < argc) path = argv[i + 1];
    if (argument.rfind("--config=", 0) == 0) path = argument.substr(9);
  }
  return path;
}

void AddServing(CLI::App& app, Settings& settings) {
  const auto add = [&app](const char* name, auto& target, const char* help) {
    return app.add_option(name, target, help)->capture_default_str()->take_last();
  };
  add("--bundle", settings.bundle, "Directory of the model bundle")->required()->type_name("DIR");
  add("--categories", settings.categories, "JSON file with categories, beside the built-in ones")
      ->type_name("FILE");
  add("--listen", settings.server.listen, "Address of the gRPC server; port 0 picks a free one")
      ->type_name("HOST:PORT");
  add("--metrics", settings.metrics, "Address of the Prometheus endpoint; empty = none")
      ->type_name("HOST:PORT");
  add("--port-file", settings.port_file, "Write the bound addresses here, as JSON, once ready")
      ->type_name("FILE");
  add("--device", settings.device, "Where to compute: cpu or cuda:N");
  add("--workers", settings.workers, "Images computed at a time; 0 = one, with all cores (shortest latency)")
      ->check(CLI::Range(0, 1024));
  add("--threads", settings.threads, "Threads per image; 0 = cores / workers")->check(CLI::Range(0, 1024));
  app.add_flag("--insecure-bind-any", settings.server.insecure_bind_any,
               "Without TLS, also listen on addresses that other machines reach")
      ->take_last();
  app.add_flag("--reflection,!--no-reflection", settings.server.reflection,
               "Answer gRPC reflection (default on)")
      ->take_last();
}

void AddLimits(CLI::App& app, Settings& settings) {
  const auto add = [&app](const char* name, auto& target, const char* help) {
    return app.add_option(name, target, help)->capture_default_str()->take_last()->group("Limits");
  };
  add("--max-image-bytes", settings.server.max_image_bytes, "Largest image file, bytes")
      ->check(CLI::Range(1, 1 << 30));
  add("--max-image-pixels", settings.server.max_image_pixels, "Largest image, pixels")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{1} << 32));
  add("--max-bytes-in-flight", settings.server.max_bytes_in_flight,
      "Requests and replies held at a time, bytes")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{1} << 40));
  add("--queue-line", settings.server.scheduler.max_line, "Line requests that may wait")
      ->check(CLI::Range(1, 100000));
  add("--queue-backlog", settings.server.scheduler.max_backlog, "Backlog requests that may wait")
      ->check(CLI::Range(1, 100000));
  add("--drain-notice", settings.drain_notice, "After SIGTERM, seconds in which requests are still taken")
      ->check(CLI::Range(0.0, 3600.0));
  add("--drain-grace", settings.drain_grace, "After that, seconds to finish what is here")
      ->check(CLI::Range(0.0, 3600.0));
}

void AddLog(CLI::App& app, Settings& settings) {
  const std::map<std::string, telemetry::Level> levels = {{"debug", telemetry::Level::kDebug},
                                                          {"info", telemetry::Level::kInfo},
                                                          {"warning", telemetry::Level::kWarning},
                                                          {"error", telemetry::Level::kError}};
  app.add_option("--log-level", settings.log.level, "debug, info, warning or error")
      ->transform(CLI::CheckedTransformer(levels))
      ->take_last()
      ->default_str("info")
      ->group("Log");
  app.add_option("--log-file", settings.log.file, "File for the log, JSON lines; empty = standard error")
      ->take_last()
      ->group("Log");
}

// "--name=value" of every option that the environment or the settings file gives.
std::string OutsideArguments(const CLI::App& app, const std::string& config,
                             std::vector<std::string>* arguments) {
  std::map<std::string, std::string> values;
  if (!config.empty()) {
    const std::string problem = ReadSettings(config, app, &values);
    if (!problem.empty()) return problem;
  }
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& name : option->get_lnames()) {
      const char* value = std::getenv(EnvironmentName(name).c_str());
      if (value != nullptr && name != "config" && name != "help" && name != "version") values[name] = value;
    }
  }
  for (const auto& [name, value] : values) arguments->push_back(fmt::format("--{}={}", name, value));
  return "";
}

}  // namespace

Parsed ParseCommandLine(int argc, const char* const* argv) {
  Settings settings;
  CLI::App app(kSummary, "filo-server");
  app.footer(kFooter);
  app.set_version_flag("--version", "filo-server " FILO_VERSION);
  std::string config;
  app.add_option("--config", config, "Settings file")->type_name("FILE")->take_last();
  AddServing(app, settings);
  AddLimits(app, settings);
  AddLog(app, settings);
  std::vector<std::string> arguments;
  const std::string problem = OutsideArguments(app, ConfigPath(argc, argv), &arguments);
  if (!problem.empty()) return {std::nullopt, problem + "\n", true, kUsage};
  arguments.insert(arguments.end(), argv + 1, argv + argc);
  std::reverse(arguments.begin(), arguments.end());  // CLI11 takes its vector from the back
  try {
    app.parse(arguments);
  } catch (const CLI::ParseError& error) {
    std::ostringstream out;
    std::ostringstream err;
    const bool wanted = app.exit(error, out, err) == 0;  // --help, --version
    return {std::nullopt, out.str() + err.str(), !wanted, wanted ? 0 : kUsage};
  }
  return {settings, "", false, 0};
}

}  // namespace filo::program
