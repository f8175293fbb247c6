#pragma once
#include <cstdint>
#include <filesystem>
#include <vector>

#include "elbo/base/array.h"

namespace elbo {

struct IdxHeader {
  DType dtype = DType::u8;
  std::vector<int64_t> shape = {};
};

/// IDX, the format of MNIST and its relatives, plain or gzipped (told by the content, not by the name).
/// Throws: DataError with path and byte offset unless the file is exactly what its header says; memory grows only with what is
/// actually there, never on the header's word. Offsets of a gzipped file count decompressed bytes.
IdxHeader read_idx_header(const std::filesystem::path& path);
Array read_idx(const std::filesystem::path& path);

}  // namespace elbo
