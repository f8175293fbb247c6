#pragma once
#include <array>
#include <functional>
#include <map>
#include <optional>
#include <string>

#include "elbo/data/dataset.h"
#include "elbo/data/options.h"

namespace elbo {

/// What a set knows from headers, and how to read the rest: a MemoryDataset does everything else.
struct RowSource {
  /// Before binarisation. A unit field stored as integers is divided by levels - 1.
  DataSpec spec = {};
  /// Rows of each split in the arrays that `read` returns, [n] int64 in the order of Split.
  std::array<Tensor, 3> rows = {};
  /// Host arrays [N, ...] by field: uint8 or float32 of a number, uint8 or int64 of a category. Throws: DataError.
  std::function<std::map<std::string, Tensor>()> read = {};
  /// Whether a row has the field, [N] bool, for fields with gaps; a gap's values are anything.
  std::map<std::string, Tensor> present = {};
  /// The files' name for messages, and what `read` will allocate; 0 where it isn't known.
  std::string where = {};
  int64_t num_bytes = 0;
};

namespace detail {
class Presentation;
class MissingFields;
}  // namespace detail

/// A data set held in memory in its compact element type (bytes for images), on the device where it fits beside a model.
/// A batch is one index_select a field and one or two element-wise operations.
class MemoryDataset final : public Dataset {
 public:
  /// `seed` is the run's; flip, binarize and dequantize are about `x`. Throws: ConfigError when it can't be treated as asked,
  /// DataError naming a row that has nothing left.
  MemoryDataset(RowSource source, const DataOptions& options, uint64_t seed);
  ~MemoryDataset() override;

  const DataSpec& spec() const override { return spec_; }
  int64_t size(Split split) const override;
  int64_t batch_size() const override { return options_.batch_size; }
  /// Throws: DataError when the memory it would take isn't there, before any is taken.
  void load(at::Device device) override;
  Batch gather(Split split, const Tensor& index, Stream& stream) const override;
  std::string fingerprint() const override;
  Tensor training_mean() const override;

 private:
  using Rows = std::map<std::string, Tensor>;  // by field, [n, ...]
  const Rows& rows_of(Split split) const;
  /// Whether the rows of this split are kept as bits.
  bool keeps_bits(Split split) const;
  Tensor binarised(const Tensor& grey, Split split) const;

  RowSource source_;
  DataSpec spec_;
  DataOptions options_;
  uint64_t seed_;
  std::unique_ptr<const detail::Presentation> presentation_;  // null where there is no x
  std::unique_ptr<detail::MissingFields> missing_;
  at::Device device_ = at::kCPU;
  std::array<Rows, 3> stored_ = {};
  bool loaded_ = false;
  mutable std::optional<std::string> fingerprint_ = {};
};

/// Rows for train, valid and test: a permutation by the seed cut in three, each part in ascending order. `num_test` may be 0.
/// Throws: ConfigError when no rows are left to train on.
std::array<Tensor, 3> split_rows(int64_t num_rows, int64_t num_valid, int64_t num_test, uint64_t seed);
/// Rows that a share means: rounded, at least one.
int64_t num_held_out(double fraction, int64_t num_rows);

}  // namespace elbo
