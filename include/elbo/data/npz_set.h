#pragma once
#include <filesystem>
#include <string>

#include "elbo/data/dataset.h"
#include "elbo/data/options.h"

namespace elbo {

/// A user's own NPZ archive. Under the name X are either all rows, split by the run's seed, or `X_train` with `X_test` and
/// `X_valid` where there are any (what is missing is drawn from train); labels alike. Rows are [N, D], [N, H, W] (one channel) or
/// [N, C, H, W]; float64 becomes float32.
/// Fields: x, and label where its name is given.
struct NpzConfig {
  DataOptions options = {};
  SplitOptions split = {};
  std::filesystem::path path = {};
  std::string x = "x";
  std::string label = {};
  Values values = Values::automatic;
  int64_t classes = 10;

  template <class F>
  void fields(F& field) {
    field("path", path, "the archive; relative to the data root", required, non_empty);
    field("x", x, "name of the rows: NAME, or NAME_train, NAME_valid, NAME_test; empty means train, valid, test");
    field("label", label, "name of the labels, in the same way; none when empty");
    field("values", values, "what the numbers are; auto takes bytes as grey levels and floating point as real");
    field("classes", classes, "number of classes of the labels", between(1, 1 << 20));
    options.fields(field);
    split.fields(field);
  }
  void check(Relations& relations) const { split.check(relations); }
};

/// Throws: DataError naming the archive, the array and the arrays there are.
std::shared_ptr<Dataset> make_npz(const NpzConfig& config, const DataContext& context);

}  // namespace elbo
