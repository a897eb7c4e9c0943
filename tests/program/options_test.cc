#include "server/program/options.h"

#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace filo::program {
namespace {

using ::testing::HasSubstr;

class OptionsTest : public testing::Test {
 protected:
  void TearDown() override {
    for (const char* name :
         {"FILO_LISTEN", "FILO_CONFIG", "FILO_BUNDLE", "FILO_INSECURE_BIND_ANY", "FILO_WORKERS"}) {
      unsetenv(name);
    }
  }
  static Parsed Parse(std::vector<const char*> arguments) {
    arguments.insert(arguments.begin(), "filo-server");
    return ParseCommandLine(static_cast<int>(arguments.size()), arguments.data());
  }
  std::string File(const std::string& text) {
    const std::string path = testing::TempDir() + "options." + std::to_string(::getpid()) + ".conf";
    std::ofstream(path) << text;
    return path;
  }
};

TEST_F(OptionsTest, TheBundleIsAllThatIsNeeded) {
  const Parsed parsed = Parse({"--bundle", "b"});
  ASSERT_TRUE(parsed.settings.has_value()) << parsed.text;
  EXPECT_EQ(parsed.settings->bundle, "b");
  EXPECT_EQ(parsed.settings->server.listen, "127.0.0.1:50051");
  EXPECT_FALSE(parsed.settings->server.insecure_bind_any);
  EXPECT_TRUE(parsed.settings->server.reflection);
}

TEST_F(OptionsTest, FlagsGoBeforeTheEnvironmentAndThatBeforeTheFile) {
  const std::string path = File("# a comment\nlisten = file:1\nworkers = 3\nbundle = from-file\n");
  setenv("FILO_CONFIG", path.c_str(), 1);
  ASSERT_TRUE(Parse({}).settings.has_value()) << Parse({}).text;
  EXPECT_EQ(Parse({}).settings->server.listen, "file:1");
  EXPECT_EQ(Parse({}).settings->workers, 3);
  setenv("FILO_LISTEN", "env:1", 1);
  EXPECT_EQ(Parse({}).settings->server.listen, "env:1");
  EXPECT_EQ(Parse({"--listen=flag:1"}).settings->server.listen, "flag:1");
  EXPECT_EQ(Parse({"--listen", "flag:1"}).settings->bundle, "from-file");
}

TEST_F(OptionsTest, SwitchesCanBeSetOutside) {
  setenv("FILO_INSECURE_BIND_ANY", "true", 1);
  EXPECT_TRUE(Parse({"--bundle", "b"}).settings->server.insecure_bind_any);
  EXPECT_FALSE(Parse({"--bundle", "b", "--no-reflection"}).settings->server.reflection);
}

TEST_F(OptionsTest, WrongUsageIsSaidAndIsTwo) {
  const auto text = [](const Parsed& parsed) {
    EXPECT_FALSE(parsed.settings.has_value());
    EXPECT_EQ(parsed.code, 2);
    EXPECT_TRUE(parsed.is_error);
    return parsed.text;
  };
  EXPECT_THAT(text(Parse({})), HasSubstr("--bundle"));
  EXPECT_THAT(text(Parse({"--bundle", "b", "--nonsense"})), HasSubstr("--nonsense"));
  EXPECT_THAT(text(Parse({"--bundle", "b", "--workers", "many"})), HasSubstr("--workers"));
  EXPECT_THAT(text(Parse({"--bundle", "b", "--max-image-bytes", "0"})), HasSubstr("--max-image-bytes"));
  EXPECT_THAT(text(Parse({"--bundle", "b", "--log-level", "loud"})), HasSubstr("loud"));
  EXPECT_THAT(text(Parse({"--config", "/no/such/file"})), HasSubstr("/no/such/file"));
  const std::string unknown = File("colour = red\n");
  EXPECT_THAT(text(Parse({"--config", unknown.c_str()})), HasSubstr(":1: there is no flag --colour"));
}

TEST_F(OptionsTest, HelpAndVersionAreZero) {
  EXPECT_EQ(Parse({"--help"}).code, 0);
  EXPECT_THAT(Parse({"--help"}).text, HasSubstr("FILO_MAX_IMAGE_BYTES"));
  EXPECT_EQ(Parse({"--version"}).code, 0);
  EXPECT_THAT(Parse({"--version"}).text, HasSubstr("filo-server "));
}

}  // namespace
}  // namespace filo::program
