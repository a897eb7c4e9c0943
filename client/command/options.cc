#include "client/command/options.h"

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <fstream>

#include "client/load/parse.h"
#include "fmt/format.h"

namespace filo::client {
namespace {

std::string EnvironmentName(const std::string& flag) {
  std::string name = "FILO_";
  for (const char c : flag)
    name += c == '-' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return name;
}

std::string Trim(const std::string& text) {
  const std::size_t begin = text.find_first_not_of(" \t\r");
  if (begin == std::string::npos) return "";
  return text.substr(begin, text.find_last_not_of(" \t\r") - begin + 1);
}

std::string Unquote(const std::string& text) {
  const bool quoted =
      text.size() >= 2 && (text.front() == '"' || text.front() == '\'') && text.front() == text.back();
  return quoted ? text.substr(1, text.size() - 2) : text;
}

bool HasFlag(const CLI::App& app, const std::string& name) {
  return app.get_option_no_throw("--" + name) != nullptr;
}

const CLI::App* FindCommand(const CLI::App& app, const std::string& name) {
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    if (command->get_name() == name) return command;
  }
  return nullptr;
}

bool AnyCommandHasFlag(const CLI::App& app, const std::string& name) {
  if (HasFlag(app, name)) return true;
  const auto commands = app.get_subcommands([](const CLI::App*) { return true; });
  return std::any_of(commands.begin(), commands.end(),
                     [&](const CLI::App* command) { return AnyCommandHasFlag(*command, name); });
}

}  // namespace

CLI::Option* AddDuration(CLI::App& app, const std::string& name, Nanos& target, const std::string& help) {
  CLI::callback_t parse = [&target, name](const CLI::results_t& values) {
    const auto parsed = ParseDuration(name, values.back());
    if (!parsed.ok()) throw CLI::ValidationError(std::string(parsed.status().message()));
    target = *parsed;
    return true;
  };
  auto* option = app.add_option(name, parse, help)->type_name("DURATION");
  std::string shown = FormatDuration(target);
  shown.erase(std::remove(shown.begin(), shown.end(), ' '), shown.end());
  if (target != Nanos(0)) option->default_str(shown);
  return option;
}

CLI::Option* AddShare(CLI::App& app, const std::string& name, double& target, const std::string& help) {
  CLI::callback_t parse = [&target, name](const CLI::results_t& values) {
    const auto parsed = ParseShare(name, values.back());
    if (!parsed.ok()) throw CLI::ValidationError(std::string(parsed.status().message()));
    target = *parsed;
    return true;
  };
  return app.add_option(name, parse, help)->type_name("SHARE")->default_str(fmt::format("{:g}", target));
}

void AddConnectionOptions(CLI::App& app, ConnectionOptions& options) {
  const char* group = "Connection";
  app.add_option("--server", options.server, "Server to talk to")
      ->capture_default_str()
      ->type_name("HOST:PORT")
      ->group(group);
  AddDuration(app, "--deadline", options.deadline, "Longest wait for an answer, retries included")
      ->group(group);
  app.add_option("--retries", options.retry.retries, "Further attempts when the server is away or full")
      ->capture_default_str()
      ->check(CLI::Range(0, 1000))
      ->group(group);
  AddDuration(app, "--retry-wait", options.retry.initial,
              "Longest wait before the first retry; doubles each time, drawn at random below")
      ->group(group);
  app.add_flag("--wait-for-ready", options.wait_for_ready,
               "Wait for the server to come up, within the deadline")
      ->group(group);
  app.add_option("--token", options.token, "Bearer token; better kept in FILO_TOKEN or a file")
      ->type_name("TEXT")
      ->group(group);
  app.add_option("--token-file", options.token_file, "File that holds the bearer token")
      ->type_name("FILE")
      ->group(group);
  app.add_flag("--token-without-tls", options.token_without_tls,
               "Send the token unencrypted to other machines, too")
      ->group(group);
  app.add_flag("--tls", options.tls, "Encrypt; implied by the other TLS flags")->group(group);
  app.add_option("--tls-ca", options.tls_ca, "Authorities to trust, PEM (default: the system's)")
      ->type_name("FILE")
      ->group(group);
  app.add_option("--tls-cert", options.tls_cert, "Own certificate for mutual TLS, PEM")
      ->type_name("FILE")
      ->group(group);
  app.add_option("--tls-key", options.tls_key, "Own private key for mutual TLS, PEM")
      ->type_name("FILE")
      ->group(group);
  app.add_option("--tls-server-name", options.tls_server_name, "Name to expect in the server's certificate")
      ->type_name("NAME")
      ->group(group);
  app.add_option("--max-message-bytes", options.max_message_bytes, "Largest answer to take")
      ->capture_default_str()
      ->group(group);
  AddDuration(app, "--keepalive", options.keepalive, "Ping the server this often while idle (default: never)")
      ->group(group);
  app.add_option("--compression", options.compression, "none, gzip or deflate; photographs do not shrink")
      ->capture_default_str()
      ->type_name("KIND")
      ->group(group);
  app.add_option("--load-balancing", options.load_balancing,
                 "pick_first or round_robin over the addresses of the name")
      ->capture_default_str()
      ->type_name("POLICY")
      ->group(group);
  app.add_option("--channel-arg", options.channel_args, "gRPC channel argument, may be repeated")
      ->type_name("KEY=VALUE")
      ->expected(1)
      ->take_all()
      ->allow_extra_args(false)
      ->group(group);
}

void AddEnvironmentNames(CLI::App& app) {
  for (CLI::Option* option : app.get_options()) {
    if (option->get_lnames().empty() || option->get_lnames().front() == "help" ||
        option->get_lnames().front() == "version") {
      continue;
    }
    option->envname(EnvironmentName(option->get_lnames().front()));
  }
  for (CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; }))
    AddEnvironmentNames(*command);
}

absl::Status LoadSettings(const CLI::App& app, const std::string& path, const std::string& command) {
  std::ifstream file(path);
  if (!file) return absl::NotFoundError(fmt::format("--config: cannot read {}", path));
  std::vector<std::pair<std::string, std::string>> general, special;
  std::string line;
  std::string section;
  for (int number = 1; std::getline(file, line); ++number) {
    line = Trim(line);
    if (line.empty() || line[0] == '#' || line[0] == ';') continue;
    const auto wrong = [&](const std::string& what) {
      return absl::InvalidArgumentError(fmt::format("{}:{}: {}", path, number, what));
    };
    if (line.front() == '[' && line.back() == ']') {
      section = Trim(line.substr(1, line.size() - 2));
      if (FindCommand(app, section) == nullptr)
        return wrong(fmt::format("there is no command \"{}\"", section));
      continue;
    }
    const std::size_t equals = line.find('=');
    const std::string name = Trim(line.substr(0, equals));
    if (equals == std::string::npos || name.empty())
      return wrong(fmt::format("\"{}\" is not name = value", line));
    const CLI::App& scope = section.empty() ? app : *FindCommand(app, section);
    if (!AnyCommandHasFlag(scope, name) || name == "config" || name == "help") {
      return wrong(fmt::format("there is no flag --{}{}", name, section.empty() ? "" : " of " + section));
    }
    if (!section.empty() && section != command) continue;
    (section.empty() ? general : special).emplace_back(name, Unquote(Trim(line.substr(equals + 1))));
  }
  // What is said for one command goes before what is said for all.
  for (const auto* settings : {&special, &general}) {
    for (const auto& [name, value] : *settings)
      setenv(EnvironmentName(name).c_str(), value.c_str(), /*overwrite=*/0);
  }
  return absl::OkStatus();
}

}  // namespace filo::client
