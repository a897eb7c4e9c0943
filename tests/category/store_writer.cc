// Writes to a store until it is killed: store_writer sqlite PATH | postgresql CONNECTION. After every
// acknowledged write it says so on its standard output: "ID REVISION\n". The kill test compares that with
// what is stored afterwards.
#include <unistd.h>

#include <cstdio>
#include <string>

#include "fmt/format.h"
#include "server/category/store.h"

int main(int argc, char** argv) {
  using namespace filo::category;
  if (argc != 3) return 2;
  const std::string kind = argv[1];
  auto database = kind == "sqlite" ? OpenSqlite({.path = argv[2]}) : OpenPostgres({.connection = argv[2]});
  if (!database.ok()) return 3;
  auto store = Store::Open(*std::move(database));
  if (!store.ok()) {
    fprintf(stderr, "%s\n", store.status().ToString().c_str());
    return 3;
  }
  for (int i = 0;; ++i) {
    const std::string id = fmt::format("c{}", i % 7);
    Record fresh;
    fresh.definition.name = id;
    fresh.definition.class_name = "part";
    auto written = (*store)->Update(id, "", [&](Record& record) {
      record.labels["revision"] = fmt::format("{}", record.revision + 1);
      return absl::OkStatus();
    });
    if (absl::IsNotFound(written.status())) written = (*store)->Create(fresh);
    if (absl::IsUnavailable(written.status())) return 0;  // the database was killed
    if (!written.ok()) {
      fprintf(stderr, "%s\n", written.status().ToString().c_str());
      return 3;
    }
    const std::string line = fmt::format("{} {}\n", id, written->record->revision);
    if (write(STDOUT_FILENO, line.data(), line.size()) != static_cast<ssize_t>(line.size())) return 0;
  }
}
