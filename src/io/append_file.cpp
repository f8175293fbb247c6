#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cctype>
#include <cerrno>
#include <utility>

#include "elbo/base/error.h"
#include "elbo/io/file.h"
#include "system.h"

namespace elbo {

FileLock::FileLock(std::filesystem::path path) {
  detail::Descriptor descriptor(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666));
  if (descriptor.get() < 0) detail::throw_system_error(FileRole::run, "lock", path, errno);
  if (::flock(descriptor.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) detail::throw_system_error(FileRole::run, "lock", path, errno);
    std::array<char, 32> text = {};
    const ssize_t count = ::pread(descriptor.get(), text.data(), text.size() - 1, 0);
    std::string holder;
    for (ssize_t i = 0; i < count && std::isdigit(static_cast<unsigned char>(text[i])); ++i) holder += text[i];
    throw CheckpointError("cannot lock " + path.string() + ": " + (holder.empty() ? "another process" : "process " + holder) +
                          " holds it; wait for it to end, stop it, or choose another folder");
  }
  const auto text = std::to_string(::getpid()) + "\n";
  if (::ftruncate(descriptor.get(), 0) != 0) detail::throw_system_error(FileRole::run, "lock", path, errno);
  detail::write_all(descriptor.get(), detail::as_bytes(text), path);
  descriptor_ = descriptor.release();
}

FileLock::~FileLock() {
  // The file stays: removing it would let a third process lock a new file while a second still waits on this one.
  // A failure leaves a stale process number, which nobody reads while the lock is free.
  [[maybe_unused]] const int ignored = ::ftruncate(descriptor_, 0);
  ::close(descriptor_);
}

AppendFile::AppendFile(std::filesystem::path path) : path_(std::move(path)) {
  detail::Descriptor descriptor(::open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NONBLOCK, 0666));
  if (descriptor.get() < 0) detail::throw_system_error(FileRole::run, "write", path_, errno);
  struct stat status = {};
  if (::fstat(descriptor.get(), &status) != 0) detail::throw_system_error(FileRole::run, "write", path_, errno);
  if (!S_ISREG(status.st_mode)) {
    throw CheckpointError("cannot write " + path_.string() + ": it is not a regular file; choose another name");
  }
  size_ = static_cast<uint64_t>(status.st_size);
  descriptor_ = descriptor.release();
}

AppendFile::~AppendFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

AppendFile::AppendFile(AppendFile&& other) noexcept
    : path_(std::move(other.path_)), descriptor_(std::exchange(other.descriptor_, -1)), size_(other.size_) {}

AppendFile& AppendFile::operator=(AppendFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(descriptor_, other.descriptor_);
  std::swap(size_, other.size_);
  return *this;
}

void AppendFile::append(std::span<const std::byte> bytes) {
  try {
    detail::write_all(descriptor_, bytes, path_);
  } catch (const CheckpointError&) {
    // A record is there whole or not at all, also on a full disk.
    [[maybe_unused]] const int ignored = ::ftruncate(descriptor_, static_cast<off_t>(size_));
    throw;
  }
  size_ += bytes.size();
}

void AppendFile::append(std::string_view text) { append(detail::as_bytes(text)); }

void AppendFile::append_line(std::string_view text) { append(std::string(text) + "\n"); }

void AppendFile::sync() { detail::sync_descriptor(descriptor_, path_); }

void AppendFile::truncate_to(const std::filesystem::path& path, uint64_t bytes) {
  const detail::Descriptor descriptor(::open(path.c_str(), O_WRONLY | O_CLOEXEC | O_NONBLOCK));
  if (descriptor.get() < 0) detail::throw_system_error(FileRole::run, "cut back", path, errno);
  struct stat status = {};
  if (::fstat(descriptor.get(), &status) != 0) detail::throw_system_error(FileRole::run, "cut back", path, errno);
  const auto size = static_cast<uint64_t>(status.st_size);
  if (size < bytes) {
    throw CheckpointError(path.string() + ": byte " + std::to_string(size) +
                          ": the file ends here, but the checkpoint recorded " + std::to_string(bytes) +
                          " bytes; restore the file or start from an earlier checkpoint");
  }
  if (::ftruncate(descriptor.get(), static_cast<off_t>(bytes)) != 0) {
    detail::throw_system_error(FileRole::run, "cut back", path, errno);
  }
  detail::sync_descriptor(descriptor.get(), path);
}

}  // namespace elbo
