#pragma once
#include "elbo/objectives/objective.h"

namespace elbo {

/// In what units reconstruction and the quantisers' terms stand beside each other.
enum class VqReduction {
  sum,  // everything summed over an example: nats beside sums over tokens and code dimensions
  mean  // each a mean over its elements: what many ports minimise, and no nats
};
constexpr auto enum_names(VqReduction) {
  return std::array{std::pair{std::string_view("sum"), VqReduction::sum}, std::pair{std::string_view("mean"), VqReduction::mean}};
}

/// Reconstruction and the quantisers' weighted terms: -log p(x | codes) + sum_t w_t L_t. Which terms there are, and their
/// weights, is the quantiser's. Source: van den Oord et al. 2017 (arXiv:1711.00937), eq. 3. A quantiser that gives a continuous
/// value too (Yang et al. 2025, arXiv:2511.06863) has both decoded and their likelihoods averaged. Units: nats per example where
/// a term is a divergence or a likelihood, else squared units of the code. A port whose loss is mean over C, H, W of r + mean
/// over tokens and D of (codebook + beta commitment) is reproduced by `reduction: mean`, or by commitment f beta and
/// codebook_weight f with f = C H W / (T D), or half of that where r is twice the nats. Terms: bound = -reconstruction - the
/// codes' length, T log V before a prior is learnt (in training the term `kl` instead, where the assignment is soft or codes are
/// not drawn); reconstruction; the quantiser's own, without their weights; batch_perplexity and batch_usage of the codes (of
/// groups the mean), relative_error = sum |z - code|^2 / sum |z|^2; its readings. All are of the batch only: metric `codebook`
/// looks at a whole split.
struct VqObjectiveConfig {
  VqReduction reduction = VqReduction::sum;

  template <class F>
  void fields(F& field) {
    field("reduction", reduction,
          "sum: nats and sums over tokens, the convention here; mean: each over its elements, to reproduce ports");
  }
};

std::shared_ptr<Objective> make_vq_objective(const VqObjectiveConfig& config, Quantized& model, const ObjectiveContext& context);

}  // namespace elbo
