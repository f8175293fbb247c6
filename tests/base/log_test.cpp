#include "elbo/base/log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <sstream>

#include "elbo/base/error.h"

namespace log_test {
namespace {
using namespace elbo;

class Log : public testing::Test {
 protected:
  void TearDown() override {
    remove_log_file();
    set_log_level(LogLevel::info);
    std::filesystem::remove_all(folder_);
  }
  std::filesystem::path folder_ = [] {
    auto folder = std::filesystem::temp_directory_path() / ("elbo_log_test_" + std::to_string(getpid()));
    std::filesystem::create_directories(folder);
    return folder;
  }();

  static std::string content(const std::filesystem::path& path) {
    std::ostringstream all;
    all << std::ifstream(path).rdbuf();
    return all.str();
  }
};

TEST_F(Log, ConsoleIsStandardErrorFromTheLevelOn) {
  testing::internal::CaptureStdout();
  testing::internal::CaptureStderr();
  log_debug("hidden");
  log_info("told {} %s");
  log_warn("careful");
  set_log_level(LogLevel::error);
  log_warn("hidden");
  log_error("bad");
  set_log_level(LogLevel::off);
  log_error("hidden");
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "told {} %s\nwarning: careful\nerror: bad\n");
  EXPECT_EQ(testing::internal::GetCapturedStdout(), "");
}

TEST_F(Log, FileHasEveryLevelWithItsTimeAtOnce) {
  testing::internal::CaptureStderr();
  set_log_level(LogLevel::off);
  add_log_file(folder_ / "log.txt");
  log_debug("one");
  log_warn("two");
  EXPECT_THAT(content(folder_ / "log.txt"),
              testing::MatchesRegex("....-..-..T..:..:..\\....Z debug one\n....-..-..T..:..:..\\....Z warning two\n"));
  remove_log_file();
  log_error("three");
  EXPECT_THAT(content(folder_ / "log.txt"), testing::Not(testing::HasSubstr("three")));
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
}

TEST_F(Log, FileIsContinuedNotReplaced) {
  testing::internal::CaptureStderr();
  add_log_file(folder_ / "log.txt");
  log_info("before");
  remove_log_file();
  add_log_file(folder_ / "log.txt");
  log_info("after");
  testing::internal::GetCapturedStderr();
  EXPECT_THAT(content(folder_ / "log.txt"), testing::AllOf(testing::HasSubstr("before"), testing::HasSubstr("after")));
}

TEST_F(Log, UnwritableFileIsAnErrorThatNamesIt) {
  std::filesystem::create_directories(folder_ / "is_a_folder");
  try {
    add_log_file(folder_ / "is_a_folder");
    FAIL();
  } catch (const CheckpointError& error) {
    EXPECT_THAT(error.what(), testing::HasSubstr("is_a_folder: the log can't be written"));
  }
}

TEST_F(Log, OnceIsOncePerKey) {
  testing::internal::CaptureStderr();
  log_once("log_test.a", "first");
  log_once("log_test.a", "again");
  log_once("log_test.b", "other");
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "warning: first\nwarning: other\n");
}

TEST_F(Log, ErasesABarBeforeTheMessage) {
  testing::internal::CaptureStderr();
  detail::set_bar_on_screen(true);
  log_info("a");
  log_info("b");
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "\r\x1b[Ka\nb\n");
}

}  // namespace
}  // namespace log_test
