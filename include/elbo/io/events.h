#pragma once
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "elbo/io/file.h"
#include "elbo/io/png.h"

namespace elbo {

/// Writes what TensorBoard shows: one events.out.tfevents.* file of checksummed records.
class EventWriter {
 public:
  /// A new file in the folder, named by time and host.
  static EventWriter create(const std::filesystem::path& folder);
  /// Goes on with a file after cutting it back to num_bytes, the size() that a checkpoint recorded.
  static EventWriter reopen(const std::filesystem::path& path, uint64_t num_bytes);

  void scalar(std::string_view tag, double value, int64_t step);
  void image(std::string_view tag, const Image& image, int64_t step);
  /// Buckets are chosen from the finite values; NaN and infinities are left out.
  void histogram(std::string_view tag, std::span<const double> values, int64_t step);

  /// On return everything written is on the disk and size() may be recorded.
  void flush() { file_.sync(); }
  uint64_t size() const { return file_.size(); }
  const std::filesystem::path& path() const { return file_.path(); }

 private:
  explicit EventWriter(AppendFile file) : file_(std::move(file)) {}
  void summary(std::string_view value, int64_t step);
  void record(std::string_view event);

  AppendFile file_;
};

}  // namespace elbo
