#pragma once
#include <array>
#include <cstdint>
#include <string_view>
#include <utility>

#include "elbo/config/problems.h"
#include "elbo/config/range.h"
#include "elbo/data/missing.h"

namespace elbo {

/// How values in [0, 1] become 0 or 1. Valid and test rows are binarised once, from the run's seed, unless `none`.
enum class Binarize {
  none,
  once,       // "static": Bernoulli(x), drawn once for every row from the run's seed
  dynamic,    // training rows are drawn afresh whenever they are gathered (Salakhutdinov & Murray 2008)
  threshold,  // x >= 0.5
};
constexpr auto enum_names(Binarize) {
  using namespace std::string_view_literals;
  return std::array{std::pair{"none"sv, Binarize::none}, std::pair{"static"sv, Binarize::once},
                    std::pair{"dynamic"sv, Binarize::dynamic}, std::pair{"threshold"sv, Binarize::threshold}};
}

/// What the numbers of a file mean where the file doesn't say it.
enum class Values {
  automatic,  // "auto": bytes are grey levels 0..255 of [0, 1] (refused if none is above 1), bool is binary, floating point is
              // real
  unit,       // in [0, 1], or bytes 0..255
  binary,     // 0 or 1
  real,
};
constexpr auto enum_names(Values) {
  using namespace std::string_view_literals;
  return std::array{std::pair{"auto"sv, Values::automatic}, std::pair{"unit"sv, Values::unit},
                    std::pair{"binary"sv, Values::binary}, std::pair{"real"sv, Values::real}};
}

/// What every data set's section may say; a set's config lists these among its own fields.
struct DataOptions {
  Binarize binarize = Binarize::none;
  bool flip = false;
  bool dequantize = false;
  int64_t coarse = 1;
  int64_t batch_size = 128;
  MissingOptions missing = {};

  template <class F>
  void fields(F& field) {
    field("binarize", binarize, "none, static (drawn once), dynamic (drawn for each training batch) or threshold (x >= 0.5)");
    field("flip", flip, "mirror each training image left to right with probability 1/2, drawn whenever it is read");
    field("dequantize", dequantize,
          "grey levels g become (g + u) / levels with u uniform in [0, 1), for densities (likelihoods of grey levels take them "
          "as they "
          "are); drawn afresh for training rows, by the run's seed for the others");
    field("coarse", coarse,
          "x becomes the means over squares of so many pixels a side, and the whole picture the field target: for models that "
          "enlarge",
          between(1, 1024));
    field("batch_size", batch_size, "rows a training batch", between(1, 1 << 20));
    field("missing", missing, "fields that rows lack, drawn by the seed: for models that take any of several modalities");
  }
};

/// Shares of the rows that a set without given splits keeps for valid and test, chosen by the run's seed.
struct SplitOptions {
  double valid_fraction = 0.1;
  double test_fraction = 0.1;

  template <class F>
  void fields(F& field) {
    field("valid_fraction", valid_fraction, "share of the rows for validation, where the files give no such split",
          more_than(0).below(1));
    field("test_fraction", test_fraction, "share of the rows for the test, where the files give no such split",
          more_than(0).below(1));
  }
  void check(Relations& relations) const {
    if (valid_fraction + test_fraction >= 1) {
      relations.problem("valid_fraction", "valid_fraction and test_fraction leave no rows to train on");
    }
  }
};

}  // namespace elbo
