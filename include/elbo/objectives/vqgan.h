#pragma once
#include "elbo/nn/feature_distance.h"
#include "elbo/nn/patch_critic.h"
#include "elbo/objectives/adversarial.h"
#include "elbo/objectives/vq.h"

namespace elbo {

/// A quantised model trained by reconstruction, by a distance of features and against a critic of patches.
/// Phase `main`, the model's parameters: nll + L_q + lambda g with nll = -log p(x | codes) + n w_p d(x, x'), g = -n mean D(x'),
/// x' the likelihood's mean and n the numbers of an example. lambda = w_d clamp(|grad nll| / (|grad g| + 1e-4), 0, 1e4) of the
/// last layer's weight, a constant to the gradient; both losses are means over the batch, so that it couples it. Phase `critic`,
/// the critic's, from critic_start on: mean relu(1 - D(x)) / 2 + mean relu(1 + D(x')) / 2, x' of the codes as evaluation gives
/// them, detached. Before critic_start main has no g. Images in [0, 1] are brought to [-1, 1] for critic and features.
/// Source: Esser et al. 2021 (arXiv:2012.09841), eqs. 4 to 7 and their code's hinge. Published: laplace with scale 0.5 (the
/// absolute error of images in [-1, 1]), w_p 1, w_d 0.8, critic_start 250,001, both optimisers Adam with betas 0.5 and 0.9.
/// With `reduction: mean` everything is a mean over its elements (n = 1) and a port's weights hold as they are; with sum, the
/// convention here, w_p and w_d hold too, since n is in all of nll and g, and the quantiser's weights are converted as those of
/// objective `vq`: commitment f beta and codebook_weight f with f = C H W / (T D).
/// Under no gradient, so in evaluation, lambda is 0. The critic normalises by running statistics of real images there.
/// Units: nats per example; the critic's loss has none. Terms: those of `vq`, the bound its true one; perceptual = d(x, x')
/// where it has a weight; generator = -mean D(x'), adaptive_weight = lambda; of the critic and in evaluation critic_real = mean
/// D(x), critic_fake = mean D(x').
/// Where a model gives another field back (target), that one is meant by x here.
/// Throws: ConfigError where x is no image, or the model's decoder has no last layer's weight.
struct VqganConfig {
  VqReduction reduction = VqReduction::sum;
  PatchCriticConfig critic = {};
  int64_t critic_start = 250'001;
  ScheduledNumber critic_weight = scheduled_number(0.8);
  FeatureDistanceConfig perceptual = {};

  template <class F>
  void fields(F& field) {
    field("reduction", reduction,
          "sum: nats and sums over tokens, the convention here; mean: each over its elements, to reproduce ports");
    field("critic", critic, "the critic of patches");
    field("critic_start", critic_start, "the first step in which the critic learns and counts", at_least(0));
    field("critic_weight", critic_weight, "size of the critic's pull at the last layer, by that of the reconstruction's",
          at_least(0));
    field("perceptual", perceptual, "the distance of features; off by default");
  }
};

std::shared_ptr<Objective> make_vqgan(const VqganConfig& config, Quantized& model, const ObjectiveContext& context);

}  // namespace elbo
