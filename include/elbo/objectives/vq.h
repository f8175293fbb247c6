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

/// What of MS-SSIM is minimised.
enum class SimilarityForm {
  decibel,    // 10 log10(1 - MS-SSIM): as much for halving a small difference as for halving a large one
  difference  // 1 - MS-SSIM
};
constexpr auto enum_names(SimilarityForm) {
  return std::array{std::pair{std::string_view("decibel"), SimilarityForm::decibel},
                    std::pair{std::string_view("difference"), SimilarityForm::difference}};
}

/// Multi-scale structural similarity (math/structural_similarity.h) of an example and its reconstruction, the likelihood's mean.
struct SimilarityTermConfig {
  double weight = 0;
  SimilarityForm form = SimilarityForm::decibel;
  int64_t scales = 5;

  template <class F>
  void fields(F& field) {
    field("weight", weight, "weight of one number an example; 0: there is none", at_least(0));
    field("form", form, "decibel: 10 log10(1 - MS-SSIM); difference: 1 - MS-SSIM");
    field("scales", scales, "scales of pictures, each half of the one before; five need 161 pixels, two 21", between(1, 5));
  }
};

/// Reconstruction and the quantisers' weighted terms: -log p(x | codes) + sum_t w_t L_t. Which terms there are, and their
/// weights, is the quantiser's. Source: van den Oord et al. 2017 (arXiv:1711.00937), eq. 3. A quantiser that gives a continuous
/// value too (Yang et al. 2025, arXiv:2511.06863) has both decoded and their likelihoods averaged. Units: nats per example where
/// a term is a divergence or a likelihood, else squared units of the code. A port whose loss is mean over C, H, W of r + mean
/// over tokens and D of (codebook + beta commitment) is reproduced by `reduction: mean`, or by commitment f beta and
/// codebook_weight f with f = C H W / (T D), or half of that where r is twice the nats. Terms: bound = -reconstruction - the
/// codes' length, T log V before a prior is learnt (in training the term `kl` instead, where the assignment is soft or codes are
/// not drawn); reconstruction; the quantiser's own, without their weights; batch_perplexity and batch_usage of the codes (of
/// groups the mean), relative_error = sum |z - code|^2 / sum |z|^2; its readings. All are of the batch only: metric `codebook`
/// looks at a whole split. A codec that minimises MS-SSIM (Zhu et al. 2022, arXiv:2203.10897) has likelihood_weight 0 and
/// ms_ssim.weight 1; the bound stays the likelihood's, and a likelihood whose scale is learnt learns nothing then. Term where it
/// has a weight: ms_ssim.
/// Throws: ConfigError where ms_ssim has a weight and what is reconstructed is no picture with values in [0, 1] on which its
/// scales fit.
struct VqObjectiveConfig {
  VqReduction reduction = VqReduction::sum;
  double likelihood_weight = 1;
  SimilarityTermConfig ms_ssim = {};

  template <class F>
  void fields(F& field) {
    field("reduction", reduction,
          "sum: nats and sums over tokens, the convention here; mean: each over its elements, to reproduce ports");
    field("likelihood_weight", likelihood_weight, "weight of -log p(x | codes); 0 where ms_ssim alone is the distortion",
          at_least(0));
    field("ms_ssim", ms_ssim, "similarity of structure beside the likelihood; off by default");
  }
  void check(Relations& relations) const {
    if (likelihood_weight <= 0 && ms_ssim.weight <= 0) {
      relations.problem("likelihood_weight", "must be above 0 where ms_ssim has no weight: nothing would be reconstructed");
    }
  }
};

std::shared_ptr<Objective> make_vq_objective(const VqObjectiveConfig& config, Quantized& model, const ObjectiveContext& context);

}  // namespace elbo
