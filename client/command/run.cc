#include <cstdio>
#include <cstdlib>
#include <string>

#include "client/command/command.h"
#include "client/command/options.h"
#include "client/rpc/error.h"
#include "fmt/format.h"

namespace filo::client {
namespace {

constexpr char kSummary[] =
    "Inspects photographs with a FiLo server, and tests how much that server can take.";
constexpr char kFooter[] =
    "Every flag may also be set in the environment (--max-rate: FILO_MAX_RATE) or in a settings file "
    "(--config FILE or\n"
    "FILO_CONFIG; \"max-rate = 50\"). A flag goes before the environment, the environment before the file.\n"
    "Exit codes: 0 done; 1 found what it looks for (a part is NG, an objective is not held); 2 wrong usage; "
    "3 failed.";

// The settings file has to be known before the command line is parsed, because it fills in what that leaves
// out.
std::string FindConfig(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    if (argument == "--config" && i + 1 < argc) return argv[i + 1];
    if (argument.rfind("--config=", 0) == 0) return argument.substr(9);
  }
  const char* from_environment = std::getenv("FILO_CONFIG");
  return from_environment == nullptr ? "" : from_environment;
}

// The first word that is a command.
std::string FindCommandName(const CLI::App& app, int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
      if (command->get_name() == argv[i]) return argv[i];
    }
  }
  return "";
}

int Report(const absl::Status& status) {
  fmt::print(stderr, "filo-client: {}\n", std::string(status.message()));
  return status.code() == absl::StatusCode::kInvalidArgument && !IsRpcError(status) ? kUsage : kFailed;
}

}  // namespace

std::vector<std::unique_ptr<Command>> AllCommands() {
  std::vector<std::unique_ptr<Command>> commands;
  commands.push_back(MakeDetectCommand());
  commands.push_back(MakeHealthCommand());
  commands.push_back(MakeModelCommand());
  commands.push_back(MakeLoadCommand());
  commands.push_back(MakeSearchCommand());
  commands.push_back(MakeCompareCommand());
  commands.push_back(MakeReportCommand());
  return commands;
}

int RunClient(int argc, char** argv) {
  CLI::App app(kSummary, "filo-client");
  app.footer(kFooter);
  app.require_subcommand(1);
  app.set_version_flag("--version", "filo-client " FILO_VERSION);
  std::string config;
  app.add_option("--config", config, "Settings file")->type_name("FILE");
  auto commands = AllCommands();
  for (const auto& command : commands) command->Register(app);
  for (CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) command->fallthrough();
  AddEnvironmentNames(app);
  const std::string path = FindConfig(argc, argv);
  if (!path.empty()) {
    const absl::Status loaded = LoadSettings(app, path, FindCommandName(app, argc, argv));
    if (!loaded.ok()) {
      Report(loaded);
      return kUsage;
    }
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kDone : kUsage;
  }
  for (const auto& command : commands) {
    if (!command->Chosen()) continue;
    const absl::StatusOr<int> code = command->Run();
    return code.ok() ? *code : Report(code.status());
  }
  return kUsage;
}

}  // namespace filo::client
