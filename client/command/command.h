// One subcommand of filo-client.
#pragma once

#include <CLI/CLI.hpp>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"

namespace filo::client {

// What the program ends with.
enum ExitCode : int {
  kDone = 0,
  kFound = 1,   // it found what it looks for: a part is NG, an objective is not held, a run is slower
  kUsage = 2,   // the command line, environment or settings file is wrong
  kFailed = 3,  // it could not do what was asked
};

class Command {
 public:
  virtual ~Command() = default;
  // Adds the subcommand with its flags to the app and calls `chosen` when the user picked it. The command
  // outlives the app's parsing.
  virtual void Register(CLI::App& app) = 0;
  // True if the user picked it.
  virtual bool Chosen() const = 0;
  // Does it. An error ends the program with kFailed, or kUsage for kInvalidArgument that is not the server's.
  virtual absl::StatusOr<int> Run() = 0;
};

// A command that is one subcommand.
class SimpleCommand : public Command {
 public:
  bool Chosen() const override { return app_ != nullptr && app_->parsed(); }

 protected:
  CLI::App* Add(CLI::App& app, const std::string& name, const std::string& summary) {
    app_ = app.add_subcommand(name, summary);
    return app_;
  }

 private:
  CLI::App* app_ = nullptr;
};

// One function for each command's file.
std::unique_ptr<Command> MakeCompareCommand();
std::unique_ptr<Command> MakeDetectCommand();
std::unique_ptr<Command> MakeHealthCommand();
std::unique_ptr<Command> MakeLoadCommand();
std::unique_ptr<Command> MakeModelCommand();
std::unique_ptr<Command> MakeReportCommand();
std::unique_ptr<Command> MakeSearchCommand();

// All commands in the order of the help.
std::vector<std::unique_ptr<Command>> AllCommands();

// Parses and runs. Returns the exit code.
int RunClient(int argc, char** argv);

}  // namespace filo::client
