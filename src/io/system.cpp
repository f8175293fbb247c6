#include "system.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstring>

#include "elbo/base/error.h"

namespace elbo::detail {
namespace {

/// The reason in plain words, and what to do about it.
std::string explain(int error) {
  switch (error) {
    case ENOSPC:
      return "the disk is full; free some space or choose a folder on another disk";
    case EDQUOT:
      return "your disk quota is used up; free some space or choose a folder on another disk";
    case EROFS:
      return "the file system is read-only; choose a folder that can be written";
    case EACCES:
    case EPERM:
      return "permission denied; change the permissions or choose another path";
    case ENOENT:
      return "no such file or folder; check the path";
    case ENOTDIR:
      return "a part of the path is a file, not a folder; check the path";
    case EISDIR:
      return "it is a folder, not a file; check the path";
    case EEXIST:
    case ENOTEMPTY:
      return "it exists already; choose another name or remove it";
    case ENAMETOOLONG:
      return "the name is too long; choose a shorter one";
    case EFBIG:
      return "the file grew larger than the system allows; raise the limit (ulimit -f) or choose another disk";
    case EMFILE:
    case ENFILE:
      return "too many files are open; raise the limit (ulimit -n)";
    case EIO:
      return "the disk reports an input/output error; check the disk and its cable or network";
    default:
      return std::string(std::strerror(error)) + "; check the path and the disk";
  }
}

}  // namespace

Descriptor::~Descriptor() {
  if (value_ >= 0) ::close(value_);
}

void throw_error(FileRole role, const std::string& message) {
  if (role == FileRole::data) throw DataError(message);
  throw CheckpointError(message);
}

void throw_system_error(FileRole role, std::string_view action, const std::filesystem::path& path, int error) {
  throw_error(role, "cannot " + std::string(action) + " " + path.string() + ": " + explain(error));
}

void write_all(int descriptor, std::span<const std::byte> bytes, const std::filesystem::path& path) {
  constexpr size_t kMostAtOnce = size_t{1} << 30;  // Linux writes at most 2 GiB a call
  while (!bytes.empty()) {
    const ssize_t written = ::write(descriptor, bytes.data(), std::min(bytes.size(), kMostAtOnce));
    if (written < 0) {
      if (errno == EINTR) continue;
      throw_system_error(FileRole::run, "write", path, errno);
    }
    bytes = bytes.subspan(static_cast<size_t>(written));
  }
}

void sync_descriptor(int descriptor, const std::filesystem::path& path) {
  // EINVAL and ENOTSUP: a file system that can't sync this kind of object (some network ones, for folders).
  if (::fsync(descriptor) != 0 && errno != EINVAL && errno != ENOTSUP) throw_system_error(FileRole::run, "sync", path, errno);
}

void sync_path(const std::filesystem::path& path) {
  const Descriptor descriptor(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (descriptor.get() < 0) throw_system_error(FileRole::run, "sync", path, errno);
  sync_descriptor(descriptor.get(), path);
}

std::filesystem::path folder_of(const std::filesystem::path& path) {
  const auto folder = path.parent_path();
  return folder.empty() ? std::filesystem::path(".") : folder;
}

std::filesystem::path temporary_beside(const std::filesystem::path& path) {
  static std::atomic<uint64_t> counter{0};
  // The time keeps a process that got the number of a killed one from its leftovers.
  const auto now = std::chrono::system_clock::now().time_since_epoch().count();
  const auto stem = path.filename().string().substr(0, 100);  // room for the suffix within the system's 255 bytes
  return path.parent_path() / ("." + stem + ".tmp-" + std::to_string(::getpid()) + "-" + std::to_string(now) + "-" +
                               std::to_string(counter.fetch_add(1)));
}

bool is_temporary_name(const std::string& name) {
  const size_t suffix = name.rfind(".tmp-");
  if (suffix == std::string::npos || !name.starts_with('.')) return false;
  const auto numbers = std::string_view(name).substr(suffix + 5);
  return std::count(numbers.begin(), numbers.end(), '-') == 2 &&
         numbers.find_first_not_of("0123456789-") == std::string_view::npos;
}

std::span<const std::byte> as_bytes(std::string_view text) { return std::as_bytes(std::span(text.data(), text.size())); }

}  // namespace elbo::detail
