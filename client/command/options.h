// Command-line pieces that several commands share.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

#include "client/load/clock.h"
#include "client/rpc/connection.h"

namespace filo::client {

// A flag that takes a duration with a unit; `target`'s present value is the default.
CLI::Option* AddDuration(CLI::App& app, const std::string& name, Nanos& target, const std::string& help);

// A flag that takes a share (0.05 or 5%).
CLI::Option* AddShare(CLI::App& app, const std::string& name, double& target, const std::string& help);

// --server, --deadline, TLS, token, retries and channel settings.
void AddConnectionOptions(CLI::App& app, ConnectionOptions& options);

// Gives every long flag of the app and its subcommands an environment variable: --max-rate is FILO_MAX_RATE.
void AddEnvironmentNames(CLI::App& app);

// Turns a settings file into environment variables that are not set yet, so that a flag goes before the
// environment and the environment before the file. The file holds "name = value" lines as the flags are
// called, '#' comments, and [command] sections that apply to one command only. kNotFound if it cannot be
// read; kInvalidArgument naming the line if a name is no flag of the app (general part) or of the section's
// command.
absl::Status LoadSettings(const CLI::App& app, const std::string& path, const std::string& command);

}  // namespace filo::client
