#pragma once
#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "elbo/io/file.h"

namespace elbo::detail {

/// A file descriptor that is closed when it goes.
class Descriptor {
 public:
  explicit Descriptor(int value = -1) : value_(value) {}
  ~Descriptor();
  Descriptor(Descriptor&& other) noexcept : value_(std::exchange(other.value_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(value_, other.value_);
    return *this;
  }

  int get() const { return value_; }
  int release() { return std::exchange(value_, -1); }

 private:
  int value_;
};

/// Throws the role's error: "cannot ACTION PATH: reason; remedy" for a system error number.
[[noreturn]] void throw_system_error(FileRole role, std::string_view action, const std::filesystem::path& path, int error);
/// Throws the role's error with the message.
[[noreturn]] void throw_error(FileRole role, const std::string& message);

/// Writes all of it or throws a CheckpointError that speaks of path.
void write_all(int descriptor, std::span<const std::byte> bytes, const std::filesystem::path& path);
/// fsync of a file or a folder.
void sync_descriptor(int descriptor, const std::filesystem::path& path);
void sync_path(const std::filesystem::path& path);

/// The folder of path, "." when it names none.
std::filesystem::path folder_of(const std::filesystem::path& path);
/// A hidden name beside path that no other call gives, recognised by is_temporary_name.
std::filesystem::path temporary_beside(const std::filesystem::path& path);
bool is_temporary_name(const std::string& name);

std::span<const std::byte> as_bytes(std::string_view text);

}  // namespace elbo::detail
