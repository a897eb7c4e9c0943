#include "tests/client/program/process.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

namespace filo::client {
namespace {

[[noreturn]] void Exec(const std::string& program, const std::vector<std::string>& arguments) {
  const std::string path =
      program.find('/') == std::string::npos ? std::string(FILO_BIN) + "/" + program : program;
  std::vector<std::string> words = {path};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  execv(path.c_str(), argv.data());
  _exit(127);
}

}  // namespace

RunningProgram::RunningProgram(const std::string& program, const std::vector<std::string>& arguments,
                               const std::vector<std::string>& environment, const std::string& input)
    : folder_(ScratchFolder()) {
  // Files instead of pipes: nothing can fill up and block.
  WriteWholeFile(folder_ + "/in", input);
  pid_ = fork();
  if (pid_ == 0) {
    dup2(open((folder_ + "/in").c_str(), O_RDONLY), STDIN_FILENO);
    dup2(open((folder_ + "/out").c_str(), O_CREAT | O_WRONLY, 0600), STDOUT_FILENO);
    dup2(open((folder_ + "/err").c_str(), O_CREAT | O_WRONLY, 0600), STDERR_FILENO);
    for (const std::string& entry : environment) putenv(const_cast<char*>(entry.c_str()));  // NOLINT
    Exec(program, arguments);
  }
}

ProcessResult RunningProgram::Wait() {
  int status = 0;
  waitpid(pid_, &status, 0);
  ProcessResult result;
  result.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  result.out = ReadWholeFile(folder_ + "/out");
  result.err = ReadWholeFile(folder_ + "/err");
  std::filesystem::remove_all(folder_);
  return result;
}

ProcessResult RunProgram(const std::string& program, const std::vector<std::string>& arguments,
                         const std::vector<std::string>& environment, const std::string& input) {
  return RunningProgram(program, arguments, environment, input).Wait();
}

ServerProcess::ServerProcess(const std::string& program, std::vector<std::string> arguments) {
  std::array<int, 2> ends{};
  if (pipe(ends.data()) != 0) return;
  pid_ = fork();
  if (pid_ == 0) {
    dup2(ends[1], STDOUT_FILENO);
    close(ends[0]);
    Exec(program, arguments);
  }
  close(ends[1]);
  output_ = ends[0];
  const std::string line = ReadLine();
  const std::string prefix = "listening on ";
  if (line.rfind(prefix, 0) == 0) address_ = line.substr(prefix.size());
}

std::string ServerProcess::ReadLine() {
  std::string line;
  for (char c = 0; read(output_, &c, 1) == 1 && c != '\n';) line += c;
  return line;
}

ServerProcess::~ServerProcess() {
  if (pid_ > 0) {
    kill(pid_, SIGCONT);
    kill(pid_, SIGTERM);
    int status = 0;
    waitpid(pid_, &status, 0);
  }
  if (output_ >= 0) close(output_);
}

std::string ReadWholeFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
}

void WriteWholeFile(const std::string& path, const std::string& contents) {
  std::ofstream(path, std::ios::binary) << contents;
}

std::string ScratchFolder() {
  std::string pattern = ::testing::TempDir() + "filo-client-XXXXXX";
  return mkdtemp(pattern.data());
}

}  // namespace filo::client
