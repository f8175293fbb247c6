#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "elbo/base/array.h"

namespace elbo {

struct NpyHeader {
  DType dtype = DType::u8;
  std::vector<int64_t> shape = {};
  bool fortran_order = false;
  bool big_endian = false;
  /// Where the elements start.
  uint64_t data_offset = 0;
};

/// NPY, versions 1 to 3; u1, i1, i2, i4, i8, f2, f4, f8 and b1 of either byte order.
/// Throws: DataError with path and byte offset; object arrays (they hold pickle) and structured ones are refused.
NpyHeader read_npy_header(const std::filesystem::path& path);
/// Row-major and little-endian whatever the file's order was.
Array read_npy(const std::filesystem::path& path);
/// Throws: UsageError for bfloat16, which numpy doesn't have, and when the bytes disagree with the shape.
void write_npy(const std::filesystem::path& path, const ArrayView& array);

/// The arrays of an NPZ archive, by name without ".npy". Encrypted entries and entries larger than the archive admits are
/// refused.
class NpzReader {
 public:
  explicit NpzReader(std::filesystem::path path);
  ~NpzReader();
  NpzReader(NpzReader&&) noexcept;
  NpzReader& operator=(NpzReader&&) noexcept;

  /// In the archive's order.
  const std::vector<std::string>& names() const;
  bool contains(const std::string& name) const;
  NpyHeader header(const std::string& name) const;
  Array read(const std::string& name) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// One file that numpy.load reads, written atomically; the same arrays give the same bytes.
/// Throws: UsageError as write_npy, and for a name that is empty, repeated or climbs out of the archive.
void write_npz(const std::filesystem::path& path, const std::vector<std::pair<std::string, ArrayView>>& arrays);

}  // namespace elbo
