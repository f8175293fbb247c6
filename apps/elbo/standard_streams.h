#pragma once
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string_view>
#include <vector>

namespace elbo {

/// A file of its own, removed with the object: for readers and writers that need a path, beside standard input and output.
class TemporaryFile {
 public:
  /// Throws: UsageError where none can be made.
  explicit TemporaryFile(std::string_view ending);
  ~TemporaryFile();
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

/// All of it. Throws: DataError where there is more than a file may have.
std::vector<uint8_t> read_standard_input();
void write_standard_output(std::span<const std::byte> bytes);

}  // namespace elbo
