#pragma once
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace elbo {

/// Whose file it is decides the error: a CheckpointError for what belongs to a run, a DataError for data.
enum class FileRole { run, data };

/// The whole file. Throws: the role's error when it can't be read or is longer than max_bytes; no more than that is ever
/// allocated.
std::string read_text(const std::filesystem::path& path, size_t max_bytes, FileRole role = FileRole::run);
std::vector<std::byte> read_bytes(const std::filesystem::path& path, size_t max_bytes, FileRole role = FileRole::run);

/// A file that appears under its name complete and synced, or not at all: written under a temporary name in the same folder,
/// then renamed by commit(). Not committed, the destructor removes it. Throws: CheckpointError, after removing the temporary
/// file.
class AtomicFile {
 public:
  explicit AtomicFile(std::filesystem::path path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void write(std::span<const std::byte> bytes);
  void write(std::string_view text);
  void commit();

 private:
  void discard() noexcept;

  std::filesystem::path path_;
  std::filesystem::path temporary_;
  int descriptor_ = -1;
};

/// AtomicFile for contents already in memory.
void write_atomically(const std::filesystem::path& path, std::span<const std::byte> bytes);
void write_atomically(const std::filesystem::path& path, std::string_view text);

/// A folder that appears complete or not at all: fill path(), then commit() syncs everything in it and renames it. An existing
/// folder of that name is an error, at construction and at commit. Not committed, the destructor removes the temporary folder.
class AtomicFolder {
 public:
  explicit AtomicFolder(std::filesystem::path target);
  ~AtomicFolder();
  AtomicFolder(const AtomicFolder&) = delete;
  AtomicFolder& operator=(const AtomicFolder&) = delete;

  /// The temporary folder, on the same file system as the target.
  const std::filesystem::path& path() const { return temporary_; }
  void commit();
  /// True for names that a killed process may have left behind; whoever holds the run's lock may remove such folders.
  static bool is_leftover(const std::filesystem::path& path);

 private:
  std::filesystem::path target_;
  std::filesystem::path temporary_;
  bool committed_ = false;
};

/// Points the symbolic link at relative_target by rename: a reader sees the old target or the new one, never none.
void replace_link(const std::filesystem::path& link, const std::filesystem::path& relative_target);

/// An exclusive lock for as long as it lives, dropped by the system when the process dies.
/// Throws: CheckpointError naming the process that holds it.
class FileLock {
 public:
  explicit FileLock(std::filesystem::path path);
  ~FileLock();
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;

 private:
  int descriptor_ = -1;
};

/// A file that only grows, created when absent. Every call reaches the system at once; nothing is held back in memory.
class AppendFile {
 public:
  explicit AppendFile(std::filesystem::path path);
  ~AppendFile();
  AppendFile(AppendFile&& other) noexcept;
  AppendFile& operator=(AppendFile&& other) noexcept;

  const std::filesystem::path& path() const { return path_; }
  void append(std::span<const std::byte> bytes);
  void append(std::string_view text);
  /// The text and a newline, in one write.
  void append_line(std::string_view text);
  uint64_t size() const { return size_; }
  /// On return everything appended is on the disk.
  void sync();
  /// Cuts the file back to what a checkpoint recorded. Throws: CheckpointError when it is shorter than that.
  static void truncate_to(const std::filesystem::path& path, uint64_t bytes);

 private:
  std::filesystem::path path_;
  int descriptor_ = -1;
  uint64_t size_ = 0;
};

}  // namespace elbo
