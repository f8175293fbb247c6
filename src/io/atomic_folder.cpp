#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "elbo/base/error.h"
#include "elbo/io/file.h"
#include "system.h"

namespace elbo {
namespace {

namespace fs = std::filesystem;

/// rename that never replaces, not even an empty folder.
int rename_to_new(const fs::path& from, const fs::path& to) {
  constexpr unsigned kNoReplace = 1;    // RENAME_NOREPLACE
  constexpr int kWorkingFolder = -100;  // AT_FDCWD
  if (::syscall(SYS_renameat2, kWorkingFolder, from.c_str(), kWorkingFolder, to.c_str(), kNoReplace) == 0) return 0;
  if (errno != EINVAL && errno != ENOSYS) return errno;
  // A file system without it. The run's lock keeps other writers away between the look and the rename.
  std::error_code ignored;
  if (fs::exists(fs::symlink_status(to, ignored))) return EEXIST;
  return ::rename(from.c_str(), to.c_str()) == 0 ? 0 : errno;
}

}  // namespace

AtomicFolder::AtomicFolder(fs::path target) : target_(std::move(target)) {
  if (target_.filename().empty()) target_ = target_.parent_path();
  temporary_ = detail::temporary_beside(target_);
  std::error_code ignored;
  if (fs::exists(fs::symlink_status(target_, ignored))) detail::throw_system_error(FileRole::run, "create", target_, EEXIST);
  if (::mkdir(temporary_.c_str(), 0777) != 0) detail::throw_system_error(FileRole::run, "create", target_, errno);
}

AtomicFolder::~AtomicFolder() {
  std::error_code ignored;
  if (!committed_) fs::remove_all(temporary_, ignored);
}

void AtomicFolder::commit() {
  if (committed_) throw CheckpointError("cannot create " + target_.string() + ": it was committed before");
  try {
    for (const auto& entry : fs::recursive_directory_iterator(temporary_)) {
      if (!entry.is_symlink()) detail::sync_path(entry.path());
    }
  } catch (const fs::filesystem_error& error) {
    detail::throw_system_error(FileRole::run, "create", target_, error.code().value());
  }
  detail::sync_path(temporary_);
  if (const int error = rename_to_new(temporary_, target_)) detail::throw_system_error(FileRole::run, "create", target_, error);
  committed_ = true;
  detail::sync_path(detail::folder_of(target_));
}

bool AtomicFolder::is_leftover(const fs::path& path) { return detail::is_temporary_name(path.filename().string()); }

}  // namespace elbo
