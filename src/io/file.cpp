#include "elbo/io/file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "elbo/base/error.h"
#include "source.h"
#include "system.h"

namespace elbo {
namespace {

template <class Container>
Container read_whole(const std::filesystem::path& path, size_t max_bytes, FileRole role) {
  const detail::InputFile file(path, role);
  if (file.size() > max_bytes) {
    file.fail(max_bytes, "the file has " + std::to_string(file.size()) + " bytes, expected at most " + std::to_string(max_bytes) +
                             "; check that this is the right file");
  }
  Container contents;
  contents.resize(file.size());
  file.read_exactly(0, std::as_writable_bytes(std::span(contents.data(), contents.size())));
  return contents;
}

/// Where the file really goes: a link keeps pointing, devices and folders are not replaced.
std::filesystem::path resolve_target(const std::filesystem::path& path) {
  namespace fs = std::filesystem;
  std::error_code error;
  if (path.filename().empty()) throw CheckpointError("cannot write '" + path.string() + "': it names no file; add a file name");
  const auto status = fs::status(path, error);
  if (fs::exists(status) && !fs::is_regular_file(status)) {
    throw CheckpointError("cannot write " + path.string() + ": it exists and is not a regular file; choose another name");
  }
  if (fs::is_symlink(fs::symlink_status(path, error))) {
    const auto real = fs::weakly_canonical(path, error);
    if (!error) return real;
  }
  return path;
}

}  // namespace

std::string read_text(const std::filesystem::path& path, size_t max_bytes, FileRole role) {
  return read_whole<std::string>(path, max_bytes, role);
}

std::vector<std::byte> read_bytes(const std::filesystem::path& path, size_t max_bytes, FileRole role) {
  return read_whole<std::vector<std::byte>>(path, max_bytes, role);
}

AtomicFile::AtomicFile(std::filesystem::path path) : path_(resolve_target(path)), temporary_(detail::temporary_beside(path_)) {
  descriptor_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (descriptor_ < 0) detail::throw_system_error(FileRole::run, "write", path_, errno);
}

AtomicFile::~AtomicFile() { discard(); }

void AtomicFile::discard() noexcept {
  if (descriptor_ < 0) return;
  ::close(std::exchange(descriptor_, -1));
  ::unlink(temporary_.c_str());
}

void AtomicFile::write(std::span<const std::byte> bytes) {
  if (descriptor_ < 0) throw CheckpointError("cannot write " + path_.string() + ": it was committed, or an earlier write failed");
  try {
    detail::write_all(descriptor_, bytes, path_);
  } catch (...) {
    discard();
    throw;
  }
}

void AtomicFile::write(std::string_view text) { write(detail::as_bytes(text)); }

void AtomicFile::commit() {
  write(std::string_view());
  try {
    detail::sync_descriptor(descriptor_, path_);
    if (::rename(temporary_.c_str(), path_.c_str()) != 0) detail::throw_system_error(FileRole::run, "write", path_, errno);
  } catch (...) {
    discard();
    throw;
  }
  // Errors of close come after a successful sync: nothing can be lost any more.
  ::close(std::exchange(descriptor_, -1));
  detail::sync_path(detail::folder_of(path_));
}

void write_atomically(const std::filesystem::path& path, std::span<const std::byte> bytes) {
  AtomicFile file(path);
  file.write(bytes);
  file.commit();
}

void write_atomically(const std::filesystem::path& path, std::string_view text) {
  write_atomically(path, detail::as_bytes(text));
}

void replace_link(const std::filesystem::path& link, const std::filesystem::path& relative_target) {
  const auto temporary = detail::temporary_beside(link);
  if (::symlink(relative_target.c_str(), temporary.c_str()) != 0) {
    detail::throw_system_error(FileRole::run, "create the link", link, errno);
  }
  // rename would replace a file of that name as silently as a link.
  std::error_code ignored;
  const auto status = std::filesystem::symlink_status(link, ignored);
  const bool foreign = std::filesystem::exists(status) && !std::filesystem::is_symlink(status);
  if (foreign || ::rename(temporary.c_str(), link.c_str()) != 0) {
    const int error = foreign ? EEXIST : errno;
    ::unlink(temporary.c_str());
    detail::throw_system_error(FileRole::run, "create the link", link, error);
  }
  detail::sync_path(detail::folder_of(link));
}

}  // namespace elbo
