#include "elbo/data/cifar10.h"
#include "elbo/data/dataset.h"
#include "elbo/data/digits.h"
#include "elbo/data/idx_sets.h"
#include "elbo/data/image_folder.h"
#include "elbo/data/npz_set.h"
#include "elbo/data/ocean_floor.h"
#include "elbo/data/paired_set.h"
#include "elbo/data/poly.h"
#include "elbo/data/polymnist.h"
#include "elbo/data/shapes_paths.h"
#include "elbo/data/table_set.h"

namespace elbo {

Catalog<Dataset, const DataContext&>& datasets() {
  static auto catalog =
      Catalog<Dataset, const DataContext&>("data")
          .add("cifar10", "Krizhevsky 2009, binary version", make_cifar10)
          .add("digits", "Alpaydin & Kaynak 1998, UCI Machine Learning Repository", make_digits)
          .add("fashion_mnist", "Xiao et al. 2017 (arXiv:1708.07747)", make_fashion_mnist)
          .add("idx", "IDX files of your own", make_idx)
          .add("image_folder", "a folder of PNG and JPEG images of your own", make_image_folder)
          .add("mnist", "LeCun et al. 1998", make_mnist)
          .add("npz", "an NPZ archive of your own", make_npz)
          .add("ocean_floor", "after Minoza 2025 (arXiv:2504.14372): made-up sea floors, coarse and fine", make_ocean_floor)
          .add("paired", "a manifest of paired files and values of your own", make_paired)
          .add("poly", "the recipe of Sutter et al. 2021 (arXiv:2105.02470) on other images and backgrounds", make_poly)
          .add("polymnist", "Sutter et al. 2021 (arXiv:2105.02470), files of your own", make_polymnist)
          .add("shapes_paths", "after Zhang et al. 2024 (arXiv:2405.10317): vector paths and their pictures", make_shapes_paths)
          .add("table", "a CSV, NPY or NPZ table of your own", make_table);
  return catalog;
}

}  // namespace elbo
