#include "elbo/data/dataset.h"
#include "elbo/data/digits.h"
#include "elbo/data/idx_sets.h"
#include "elbo/data/npz_set.h"

namespace elbo {

Catalog<Dataset, const DataContext&>& datasets() {
  static auto catalog = Catalog<Dataset, const DataContext&>("data")
                            .add("digits", "Alpaydin & Kaynak 1998, UCI Machine Learning Repository", make_digits)
                            .add("fashion_mnist", "Xiao et al. 2017 (arXiv:1708.07747)", make_fashion_mnist)
                            .add("idx", "IDX files of your own", make_idx)
                            .add("mnist", "LeCun et al. 1998", make_mnist)
                            .add("npz", "an NPZ archive of your own", make_npz);
  return catalog;
}

}  // namespace elbo
