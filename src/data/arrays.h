#pragma once
#include <functional>
#include <optional>
#include <string>

#include "elbo/base/array.h"
#include "elbo/data/memory_dataset.h"

namespace elbo::detail {

/// An array in a file, as its header describes it.
struct ArrayRef {
  std::string where = {};  // "data/x.idx" or "data/x.npz: array 'x'", for messages
  DType dtype = DType::u8;
  Shape shape = {};
  std::function<Array()> read = {};
  std::optional<int64_t> extents_offset = {};  // bytes, where the format has fixed places: for messages
  std::optional<int64_t> data_offset = {};
};

/// Rows as the files hold them.
struct Part {
  ArrayRef x = {};
  std::optional<ArrayRef> label = {};
};

/// What the files give. Splits that are absent are cut from the training rows by seed.
struct Parts {
  Part train = {};
  std::optional<Part> valid = {};
  std::optional<Part> test = {};
};

struct PartsOptions {
  Values values = Values::automatic;
  int64_t classes = 10;
  std::function<int64_t(int64_t num_rows)> num_valid = {};  // of so many training rows
  std::function<int64_t(int64_t num_rows)> num_test = {};
  uint64_t seed = 0;
};

/// Checks what headers tell and makes the source of a MemoryDataset. Throws: DataError.
RowSource row_source(Parts parts, PartsOptions options);

/// Throws: DataError naming the path and what to do when there is no such file.
void check_exists(const std::filesystem::path& path, const std::string& what_to_do);

}  // namespace elbo::detail
