#pragma once
#include <array>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "elbo/config/catalog.h"
#include "elbo/config/choice.h"
#include "elbo/data/batch.h"
#include "elbo/data/spec.h"
#include "elbo/math/random.h"

namespace elbo {

enum class Split { train, valid, test };
constexpr auto enum_names(Split) {
  return std::array{std::pair{std::string_view("train"), Split::train}, std::pair{std::string_view("valid"), Split::valid},
                    std::pair{std::string_view("test"), Split::test}};
}

/// Rows of examples in three splits. Construction reads headers only; `load` reads the rest.
class Dataset {
 public:
  virtual ~Dataset() = default;
  virtual const DataSpec& spec() const = 0;
  virtual int64_t size(Split split) const = 0;
  /// Rows a training batch, from the `data` section of the config.
  virtual int64_t batch_size() const = 0;
  /// Reads the data and keeps it on `device` (or on the host when it does not fit there).
  virtual void load(at::Device device) = 0;
  /// The rows `index` ([B] int64, host) of a split, on the device given to `load`. Only training rows draw from `stream`;
  /// valid and test rows are the same numbers whenever they are read.
  virtual Batch gather(Split split, const Tensor& index, Stream& stream) const = 0;
  /// Rows that will be gathered soon, in this order: a set that isn't in memory starts reading them.
  virtual void prefetch(Split /*split*/, const Tensor& /*index*/) const {}
  /// A SHA-256 over what decides the numbers (contents of the files, splits, options): recorded with results and encoded sets.
  /// Computed when first asked for. Needs `load`.
  virtual std::string fingerprint() const = 0;
  /// Mean of field `x` over the training split, float32 on the host, of one example's shape, of the rows that have it: for
  /// decoder biases. Undefined where there is no `x`. Needs `load`.
  virtual Tensor training_mean() const = 0;
};

/// What a data set needs besides its own options.
struct DataContext {
  std::filesystem::path root = "data";
  uint64_t seed = 0;  // the run's seed (`seed:` of its config): splits and binarised evaluation data follow it, never --seed
};

/// The axis `data`.
Catalog<Dataset, const DataContext&>& datasets();
using DatasetChoice = Choice<Dataset, const DataContext&>;

}  // namespace elbo
