#include "elbo/io/file.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sched.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <csignal>
#include <functional>
#include <thread>

#include "io_support.h"

namespace file_test {
namespace {

using namespace elbo;
using namespace io_test;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

/// What work() returns in a process of its own that has a tmpfs of its own at folder; empty where mounts aren't allowed.
std::string in_private_mount(const std::filesystem::path& folder, const std::string& options,
                             const std::function<std::string()>& work) {
  int ends[2] = {};
  if (::pipe(ends) != 0) return {};
  const pid_t child = ::fork();
  if (child == 0) {
    std::string result;
    const bool alone = ::unshare(CLONE_NEWNS) == 0 || ::unshare(CLONE_NEWNS | CLONE_NEWUSER) == 0;
    const bool kept_private = alone && ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0;
    if (kept_private && ::mount("tmpfs", folder.c_str(), "tmpfs", 0, options.c_str()) == 0) {
      try {
        result = work();
      } catch (const std::exception& error) {
        result = std::string("threw ") + error.what();
      }
    }
    const auto written = ::write(ends[1], result.data(), result.size());
    ::_exit(written < 0 ? 1 : 0);
  }
  ::close(ends[1]);
  std::string result;
  char buffer[512];
  for (ssize_t n = 0; (n = ::read(ends[0], buffer, sizeof buffer)) > 0;) result.append(buffer, static_cast<size_t>(n));
  ::close(ends[0]);
  ::waitpid(child, nullptr, 0);
  return result;
}

TEST(ReadWhole, GivesTheBytesAndKeepsTheLimit) {
  Scratch scratch;
  const auto path = spill(scratch / "a", "hello");
  EXPECT_EQ(read_text(path, 5), "hello");
  EXPECT_EQ(read_bytes(path, 5).size(), 5u);
  EXPECT_EQ(message_of<CheckpointError>([&] { read_text(path, 4); }),
            path.string() + ": byte 4: the file has 5 bytes, expected at most 4; check that this is the right file");
  message_of<DataError>([&] { read_bytes(path, 4, FileRole::data); });
}

TEST(ReadWhole, SaysPlainlyWhatIsWrong) {
  Scratch scratch;
  EXPECT_EQ(message_of<DataError>([&] { read_text(scratch / "none", 9, FileRole::data); }),
            "cannot read " + (scratch / "none").string() + ": no such file or folder; check the path");
  EXPECT_THAT(message_of<CheckpointError>([&] { read_text(scratch.path(), 9); }), HasSubstr("it is a folder, not a file"));
  ASSERT_EQ(::mkfifo((scratch / "pipe").c_str(), 0600), 0);
  EXPECT_THAT(message_of<CheckpointError>([&] { read_text(scratch / "pipe", 9); }), HasSubstr("not a regular file"));
}

TEST(WriteAtomically, ReplacesTheFileAndLeavesNothingElse) {
  Scratch scratch;
  write_atomically(scratch / "a", "one");
  write_atomically(scratch / "a", "two");
  EXPECT_EQ(slurp(scratch / "a"), "two");
  EXPECT_THAT(scratch.names(), ElementsAre("a"));
}

TEST(WriteAtomically, TheOldFileStaysUntilCommit) {
  Scratch scratch;
  write_atomically(scratch / "a", "old");
  {
    AtomicFile file(scratch / "a");
    file.write(std::string(1 << 20, 'x'));
    EXPECT_EQ(slurp(scratch / "a"), "old");
    EXPECT_EQ(scratch.names().size(), 2u);
  }
  EXPECT_EQ(slurp(scratch / "a"), "old");
  EXPECT_THAT(scratch.names(), ElementsAre("a"));
}

TEST(WriteAtomically, AReaderNeverSeesAPart) {
  Scratch scratch;
  const std::string first(300'000, 'a');
  const std::string second(400'000, 'b');
  write_atomically(scratch / "a", first);
  std::jthread writer([&](std::stop_token stop) {
    for (bool flip = false; !stop.stop_requested(); flip = !flip) write_atomically(scratch / "a", flip ? first : second);
  });
  for (int i = 0; i < 100; ++i) {
    const auto seen = slurp(scratch / "a");
    ASSERT_TRUE(seen == first || seen == second) << seen.size();
  }
}

TEST(WriteAtomically, FollowsALinkAndRefusesWhatIsNoFile) {
  Scratch scratch;
  write_atomically(scratch / "real", "1");
  std::filesystem::create_symlink("real", scratch / "link");
  write_atomically(scratch / "link", "2");
  EXPECT_TRUE(std::filesystem::is_symlink(scratch / "link"));
  EXPECT_EQ(slurp(scratch / "real"), "2");
  EXPECT_THAT(message_of<CheckpointError>([&] { write_atomically(scratch.path(), "x"); }), HasSubstr("not a regular file"));
  // A pipe stands for every device: were the check ever gone, a test that names a real one would replace it.
  ASSERT_EQ(::mkfifo((scratch / "pipe").c_str(), 0600), 0);
  EXPECT_THAT(message_of<CheckpointError>([&] { write_atomically(scratch / "pipe", "x"); }), HasSubstr("not a regular file"));
  EXPECT_TRUE(std::filesystem::is_fifo(scratch / "pipe"));
  EXPECT_THAT(message_of<CheckpointError>([&] { write_atomically(scratch / "no/such/a", "x"); }),
              HasSubstr("no such file or folder"));
}

TEST(WriteAtomically, AFullDiskIsOneClearErrorAndLeavesNothing) {
  Scratch scratch;
  const auto result = in_private_mount(scratch.path(), "size=256k", [&] {
    write_atomically(scratch / "a", "old");
    std::string message;
    try {
      write_atomically(scratch / "a", std::string(1 << 20, 'x'));
    } catch (const CheckpointError& error) {
      message = error.what();
    }
    return message + "|" + slurp(scratch / "a") + "|" + std::to_string(scratch.names().size());
  });
  if (result.empty()) GTEST_SKIP() << "mounting a small file system isn't allowed here";
  EXPECT_EQ(result, "cannot write " + (scratch / "a").string() +
                        ": the disk is full; free some space or choose a folder on another disk|old|1");
}

TEST(WriteAtomically, AReadOnlyFolderIsOneClearError) {
  Scratch scratch;
  const auto result = in_private_mount(scratch.path(), "size=256k", [&]() -> std::string {
    if (::mount(nullptr, scratch.path().c_str(), nullptr, MS_REMOUNT | MS_RDONLY, nullptr) != 0) return {};
    try {
      write_atomically(scratch / "a", "x");
    } catch (const CheckpointError& error) {
      return error.what();
    }
    return "wrote";
  });
  if (result.empty()) GTEST_SKIP() << "mounting a read-only file system isn't allowed here";
  EXPECT_EQ(result,
            "cannot write " + (scratch / "a").string() + ": the file system is read-only; choose a folder that can be written");
}

TEST(WriteAtomically, AFailedWriteRemovesTheTemporaryFileAtOnce) {
  Scratch scratch;
  const auto old_handler = std::signal(SIGXFSZ, SIG_IGN);
  rlimit old_limit = {};
  ::getrlimit(RLIMIT_FSIZE, &old_limit);
  rlimit limit = old_limit;
  limit.rlim_cur = 1000;
  ::setrlimit(RLIMIT_FSIZE, &limit);
  AtomicFile file(scratch / "a");
  const auto message = message_of<CheckpointError>([&] { file.write(std::string(5000, 'x')); });
  ::setrlimit(RLIMIT_FSIZE, &old_limit);
  std::signal(SIGXFSZ, old_handler);
  EXPECT_THAT(message, HasSubstr((scratch / "a").string() + ": the file grew larger than the system allows"));
  EXPECT_THAT(scratch.names(), IsEmpty());
  message_of<CheckpointError>([&] { file.commit(); });
}

TEST(AtomicFolder, AppearsWholeOrNotAtAll) {
  Scratch scratch;
  {
    AtomicFolder folder(scratch / "step-1");
    spill(folder.path() / "a", "1");
    std::filesystem::create_directory(folder.path() / "sub");
    spill(folder.path() / "sub" / "b", "2");
    EXPECT_TRUE(AtomicFolder::is_leftover(folder.path()));
    EXPECT_FALSE(std::filesystem::exists(scratch / "step-1"));
    folder.commit();
  }
  EXPECT_EQ(slurp(scratch / "step-1" / "sub" / "b"), "2");
  { AtomicFolder abandoned(scratch / "step-2"); }
  EXPECT_THAT(scratch.names(), ElementsAre("step-1"));
  EXPECT_FALSE(AtomicFolder::is_leftover(scratch / "step-1"));
  EXPECT_FALSE(AtomicFolder::is_leftover(".hidden.tmp-x-1-2"));
}

TEST(AtomicFolder, NeverReplacesAFolder) {
  Scratch scratch;
  AtomicFolder folder(scratch / "step-1");
  std::filesystem::create_directory(scratch / "step-1");  // empty: a plain rename would replace it silently
  EXPECT_THAT(message_of<CheckpointError>([&] { folder.commit(); }), HasSubstr("step-1: it exists already"));
  message_of<CheckpointError>([&] { AtomicFolder again(scratch / "step-1"); });
}

TEST(ReplaceLink, PointsElsewhereByRename) {
  Scratch scratch;
  replace_link(scratch / "last", "step-1");
  replace_link(scratch / "last", "step-2");
  EXPECT_EQ(std::filesystem::read_symlink(scratch / "last"), "step-2");
  EXPECT_THAT(scratch.names(), ElementsAre("last"));
  spill(scratch / "file", "precious");
  message_of<CheckpointError>([&] { replace_link(scratch / "file", "x"); });
  EXPECT_EQ(slurp(scratch / "file"), "precious");
  EXPECT_THAT(scratch.names(), ElementsAre("file", "last"));
}

TEST(FileLock, NamesTheHolderAndIsFreeWhenTheHolderIsKilled) {
  Scratch scratch;
  int ends[2] = {};
  ASSERT_EQ(::pipe(ends), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    const FileLock lock(scratch / "lock");
    if (::write(ends[1], "x", 1) != 1) ::_exit(1);
    for (;;) ::pause();
  }
  char ready = 0;
  ASSERT_EQ(::read(ends[0], &ready, 1), 1);
  EXPECT_EQ(message_of<CheckpointError>([&] { FileLock lock(scratch / "lock"); }),
            "cannot lock " + (scratch / "lock").string() + ": process " + std::to_string(child) +
                " holds it; wait for it to end, stop it, or choose another folder");
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  EXPECT_NO_THROW(FileLock(scratch / "lock"));
  ::close(ends[0]);
  ::close(ends[1]);
}

TEST(FileLock, IsReleasedByItsDestructor) {
  Scratch scratch;
  {
    const FileLock first(scratch / "lock");
    EXPECT_THAT(message_of<CheckpointError>([&] { FileLock second(scratch / "lock"); }), HasSubstr(std::to_string(::getpid())));
  }
  EXPECT_NO_THROW(FileLock(scratch / "lock"));
  EXPECT_EQ(slurp(scratch / "lock"), "");
}

TEST(AppendFile, GrowsIsCutBackAndGoesOn) {
  Scratch scratch;
  const auto path = scratch / "metrics.jsonl";
  uint64_t recorded = 0;
  {
    AppendFile file(path);
    file.append_line("one");
    file.sync();
    recorded = file.size();
    file.append("two, not recor");
  }
  EXPECT_EQ(recorded, 4u);
  AppendFile::truncate_to(path, recorded);
  AppendFile file(path);
  EXPECT_EQ(file.size(), 4u);
  file.append_line("three");
  EXPECT_EQ(slurp(path), "one\nthree\n");
  EXPECT_EQ(message_of<CheckpointError>([&] { AppendFile::truncate_to(path, 11); }),
            path.string() +
                ": byte 10: the file ends here, but the checkpoint recorded 11 bytes; restore the file or start from an "
                "earlier checkpoint");
  EXPECT_EQ(slurp(path), "one\nthree\n");
}

TEST(AppendFile, MovesWithItsDescriptor) {
  Scratch scratch;
  AppendFile first(scratch / "a");
  first.append("1");
  AppendFile second(std::move(first));
  second.append("2");
  AppendFile third(scratch / "b");
  third = std::move(second);
  third.append("3");
  EXPECT_EQ(slurp(scratch / "a"), "123");
  EXPECT_EQ(third.size(), 3u);
  EXPECT_EQ(third.path(), scratch / "a");
}

TEST(AppendFile, ARecordIsThereWholeOrNotAtAll) {
  Scratch scratch;
  const auto result = in_private_mount(scratch.path(), "size=64k", [&] {
    AppendFile file(scratch / "a");
    file.append("start\n");
    std::string message;
    try {
      file.append(std::string(100'000, 'x'));
    } catch (const CheckpointError& error) {
      message = error.what();
    }
    file.append("end\n");
    return message + "|" + slurp(scratch / "a") + "|" + std::to_string(file.size());
  });
  if (result.empty()) GTEST_SKIP() << "mounting a small file system isn't allowed here";
  EXPECT_THAT(result, HasSubstr("the disk is full"));
  EXPECT_THAT(result, HasSubstr("|start\nend\n|10"));
}

}  // namespace
}  // namespace file_test
