#pragma once
#include "elbo/data/dataset.h"
#include "elbo/data/options.h"

namespace elbo {

/// 1,797 handwritten digits of 8 x 8 pixels with grey levels 0..16, inside the program: nothing to download.
/// Fields: x [1, 8, 8], label. Split by seed.
/// Source: "Optical Recognition of Handwritten Digits", Alpaydin & Kaynak 1998, UCI Machine Learning Repository, CC BY 4.0.
struct DigitsConfig {
  DataOptions options = {};
  SplitOptions split = {};

  template <class F>
  void fields(F& field) {
    options.fields(field);
    split.fields(field);
  }
  void check(Relations& relations) const { split.check(relations); }
};

std::shared_ptr<Dataset> make_digits(const DigitsConfig& config, const DataContext& context);

}  // namespace elbo
