// filo-client: everything one does to a FiLo server from a terminal.
#include <clocale>
#include <csignal>

#include "client/command/command.h"

int main(int argc, char** argv) {
  std::setlocale(LC_CTYPE, "");
  // A closed pipe (| head) ends the program quietly through the failed write, not by a signal in the middle
  // of a call.
  std::signal(SIGPIPE, SIG_IGN);
  return filo::client::RunClient(argc, argv);
}
