// Running real programs from tests.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace filo::client {

struct ProcessResult {
  int exit_code = -1;  // -signal if it was killed
  std::string out;
  std::string err;
};

// A program of ours from the build's bin folder (or at an absolute path), running. `environment` holds
// NAME=VALUE entries beside the test's own environment.
class RunningProgram {
 public:
  RunningProgram(const std::string& program, const std::vector<std::string>& arguments,
                 const std::vector<std::string>& environment = {}, const std::string& input = "");
  pid_t pid() const { return pid_; }
  // Waits for its end; call once.
  ProcessResult Wait();

 private:
  std::string folder_;
  pid_t pid_ = -1;
};

// Runs it to its end.
ProcessResult RunProgram(const std::string& program, const std::vector<std::string>& arguments,
                         const std::vector<std::string>& environment = {}, const std::string& input = "");

// A server that prints "listening on HOST:PORT"; ended with the object.
class ServerProcess {
 public:
  ServerProcess(const std::string& program, std::vector<std::string> arguments);
  ~ServerProcess();
  ServerProcess(const ServerProcess&) = delete;
  ServerProcess& operator=(const ServerProcess&) = delete;

  // "127.0.0.1:PORT"; empty if it did not start.
  const std::string& address() const { return address_; }
  pid_t pid() const { return pid_; }
  // The next line that it prints.
  std::string ReadLine();

 private:
  pid_t pid_ = -1;
  int output_ = -1;
  std::string address_;
};

std::string ReadWholeFile(const std::string& path);
void WriteWholeFile(const std::string& path, const std::string& contents);
// A fresh folder of this test, removed by the operating system's tmp cleaning.
std::string ScratchFolder();

}  // namespace filo::client
