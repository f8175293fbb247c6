#pragma once
#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "elbo/config/problems.h"
#include "elbo/config/range.h"

namespace elbo {

enum class MissingDraw {
  once,     // "static": a row lacks the same fields for the whole run
  dynamic,  // training rows are drawn afresh whenever they are read, the others once
};
constexpr auto enum_names(MissingDraw) {
  return std::array{std::pair{std::string_view("static"), MissingDraw::once},
                    std::pair{std::string_view("dynamic"), MissingDraw::dynamic}};
}

enum class MissingSplits { all, train };
constexpr auto enum_names(MissingSplits) {
  return std::array{std::pair{std::string_view("all"), MissingSplits::all},
                    std::pair{std::string_view("train"), MissingSplits::train}};
}

/// Which fields are taken away from which rows: `Field::present` says what is left, the values of the rest are zeros. With
/// guarantee_one the patterns are drawn from those that leave a row at least one modality, as if the others were drawn again.
struct MissingOptions {
  double rate = 0;
  std::map<std::string, double> rates = {};
  int64_t block = 1;
  MissingDraw draw = MissingDraw::once;
  MissingSplits splits = MissingSplits::all;
  bool guarantee_one = true;
  std::vector<std::string> modalities = {};

  template <class F>
  void fields(F& field) {
    field("rate", rate, "probability that a row lacks a modality, each by itself", between(0, 1));
    field("rates", rates, "the same by the modality's name, in place of rate", between(0, 1));
    field("block", block, "consecutive rows of the data that lack the same; 1 draws each row by itself", at_least(1));
    field("draw", draw, "static (by the run's seed, once for all) or dynamic (training rows: whenever they are read)");
    field("splits", splits, "all, or train: validation and test rows stay whole");
    field("guarantee_one", guarantee_one,
          "draw only what leaves each row at least one modality; false refuses data where a row has nothing left");
    field("modalities", modalities, "the fields meant; empty for all but label, and label too where there is only one other");
  }
  void check(Relations& relations) const;
  /// Whether anything can be taken away.
  bool any() const;
};

}  // namespace elbo
