// Writes a bundle of the goldens' seeded random weights, TINY or FULL: for the golden tests and for
// benchmarks. Its verdicts mean nothing.
#include <CLI/CLI.hpp>
#include <filesystem>
#include <map>
#include <string>

#include "fmt/format.h"
#include "tests/support/golden_bundle.h"

int main(int argc, char** argv) {
  using filo::bundle::Profile;
  using filo::support::Size;
  CLI::App app("Writes a model bundle of seeded random weights; its verdicts mean nothing.");
  Size size = Size::kTiny;
  Profile profile = Profile::kReleased;
  std::string out;
  const std::map<std::string, Size> sizes{{"tiny", Size::kTiny}, {"full", Size::kFull}};
  const std::map<std::string, Profile> profiles{{"released", Profile::kReleased}, {"paper", Profile::kPaper}};
  app.add_option("size", size, "tiny (10 MB) or full (3.3 GB)")
      ->required()
      ->transform(CLI::CheckedTransformer(sizes));
  app.add_option("--profile", profile, "released or paper")->transform(CLI::CheckedTransformer(profiles));
  app.add_option("--out", out, "directory of the bundle, made if missing")->required();
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  std::error_code failed;
  std::filesystem::create_directories(out, failed);
  int tensors = 0;
  const absl::Status status =
      filo::support::WriteGoldenBundle(size, profile, out, [&](std::string_view name) {
        if (++tensors % 100 == 0) fmt::print(stderr, "{} tensors, at {}\n", tensors, name);
      });
  if (!status.ok()) {
    fmt::print(stderr, "make_golden_bundle: {}\n", status.ToString());
    return 3;
  }
  fmt::print("{}: {} tensors\n", out, tensors);
  return 0;
}
