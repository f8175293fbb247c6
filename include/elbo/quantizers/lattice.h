#pragma once
#include <array>
#include <string_view>
#include <utility>

#include "elbo/quantizers/estimator.h"
#include "elbo/quantizers/quantizer.h"

namespace elbo {

/// Where the cells of a lattice start.
enum class LatticeInit {
  sparse,  // U(-b, b) with b = 1 / (V^(1/D) - 1), so that about V points lie in [-1, 1]^D
  dense    // U(-1, 1)
};
constexpr auto enum_names(LatticeInit) {
  return std::array{std::pair{std::string_view("sparse"), LatticeInit::sparse},
                    std::pair{std::string_view("dense"), LatticeInit::dense}};
}

/// A learnt diagonal lattice instead of a codebook: k = round(z / b), q = b k; its cost does not grow with the codes in use.
/// Source: Khalil et al. 2023 (arXiv:2310.09382), section 3. Differs: a cell never gets smaller than 1e-4.
/// Terms: codebook |q - sg z|^2, commitment |z - sg q|^2, size -sum_d |b_d| (once an example; positive weights make cells grow,
/// fewer points are used; negative ones make them shrink until hardly anything is quantised).
/// Codes: the D coordinates k, without bound; -1 is a coordinate, a token left out is at the origin. Before a prior is learnt a
/// coordinate costs the Elias gamma code of its zigzag number (0, -1, 1, -2, ... are 1, 2, 3, 4, ...):
/// 2 floor(log2 n) + 1 bits, which sum to a probability of 1 over all integers.
/// Parameters: cells [D].
struct LatticeConfig {
  int64_t code_size = 64;
  int64_t codes = 512;
  LatticeInit init = LatticeInit::sparse;
  ScheduledNumber commitment = scheduled_number(0.25);
  ScheduledNumber codebook_weight = scheduled_number(1);
  ScheduledNumber size = scheduled_number(1);
  GradientEstimator gradient = GradientEstimator::straight_through;

  template <class F>
  void fields(F& field) {
    field("code_size", code_size, "numbers D of a token", between(1, 1 << 20));
    field("codes", codes, "for init: sparse, about how many points shall lie in [-1, 1]^D; no limit", between(2, 1 << 30));
    field("init", init, "where cells start: sparse, or dense: uniform in +-1");
    field("commitment", commitment, "weight of the term that draws tokens to their points", at_least(0));
    field("codebook_weight", codebook_weight, "weight of the term that draws points to their tokens", at_least(0));
    field("size", size, "weight of the size of cells: > 0 makes them grow, < 0 shrink", any());
    field("gradient", gradient, "the decoder's gradient to the encoder: straight_through, rotation, or none");
  }
};

std::shared_ptr<Quantizer> make_lattice(const LatticeConfig& config, const QuantizerContext& context);

}  // namespace elbo
