#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "elbo/base/array.h"
#include "elbo/io/file.h"
#include "system.h"

namespace elbo::detail {

/// Deflate can't expand a byte to more than this (a 258-byte match in two bits): bounds what a compressed file may claim to hold.
inline constexpr uint64_t kMaxDeflateRatio = 1032;
/// No array of ours is larger; what claims to be is refused.
inline constexpr uint64_t kMaxArrayBytes = uint64_t{64} << 30;

/// A regular file open for reading at any place.
class InputFile {
 public:
  explicit InputFile(std::filesystem::path path, FileRole role);

  const std::filesystem::path& path() const { return path_; }
  FileRole role() const { return role_; }
  int descriptor() const { return descriptor_.get(); }
  uint64_t size() const { return size_; }
  /// How many bytes were there; fewer than asked for only at the end.
  size_t read_at(uint64_t offset, std::span<std::byte> out) const;
  void read_exactly(uint64_t offset, std::span<std::byte> out) const;
  /// "PATH: byte OFFSET: problem"
  [[noreturn]] void fail(uint64_t offset, const std::string& problem) const;
  int release() { return descriptor_.release(); }

 private:
  std::filesystem::path path_;
  FileRole role_;
  Descriptor descriptor_;
  uint64_t size_ = 0;
};

/// Bytes in order, from a file, a gzipped file or an entry of an archive.
class ByteSource {
 public:
  virtual ~ByteSource() = default;

  /// How many bytes were there; fewer than asked for only at the end.
  size_t read(std::span<std::byte> out);
  void read_exactly(std::span<std::byte> out, const std::string& what);
  uint64_t position() const { return position_; }
  /// What the remaining bytes can't exceed.
  uint64_t limit() const { return size_limit() - std::min(size_limit(), position_); }
  /// Whether limit() bytes are really there, so that they may be allocated at once.
  virtual bool limit_is_exact() const = 0;
  [[noreturn]] void fail(uint64_t offset, const std::string& problem) const;
  virtual std::string name() const = 0;

 protected:
  virtual size_t read_some(std::span<std::byte> out) = 0;
  virtual uint64_t size_limit() const = 0;

 private:
  uint64_t position_ = 0;
};

std::unique_ptr<ByteSource> open_plain(const std::filesystem::path& path);
/// Decompressed when the file starts like a gzip file.
std::unique_ptr<ByteSource> open_perhaps_gzipped(const std::filesystem::path& path);

/// Bytes of an array of that type and shape; nothing when the product of the extents that aren't zero overflows or an extent is
/// negative.
std::optional<uint64_t> bytes_of(DType type, std::span<const int64_t> shape);
/// "60000 x 28 x 28 uint8"
std::string describe_array(DType type, std::span<const int64_t> shape);

/// The bytes that the header announces, checked against what the source can hold. Errors speak of the header_offset.
uint64_t check_announced(const ByteSource& source, DType type, std::span<const int64_t> shape, uint64_t header_offset);
/// Reads an array's elements, which must end the source. Memory grows only as bytes arrive.
std::vector<std::byte> read_elements(ByteSource& source, DType type, std::span<const int64_t> shape, uint64_t header_offset);
/// Reverses the bytes of each element.
void swap_bytes(std::span<std::byte> bytes, size_t element_size);
/// The index of the first byte that is neither 0 nor 1: in memory such a bool is undefined behaviour.
std::optional<uint64_t> find_bad_bool(std::span<const std::byte> bytes);
/// Throws: UsageError when the bytes disagree with the shape.
void check_view(const ArrayView& view, const std::string& name);

}  // namespace elbo::detail
