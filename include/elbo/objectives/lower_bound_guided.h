#pragma once
#include "elbo/models/asymmetric_vae.h"
#include "elbo/nn/feature_distance.h"
#include "elbo/nn/patch_critic.h"
#include "elbo/objectives/objective.h"

namespace elbo {

/// Trains the decoder of an asymmetric VAE in two phases: until `guided_steps` towards the base's picture enlarged bicubically,
/// |D(z) - floor|; then towards the target, |D(z) - x| + n w_p d(D(z), x) + hinge relu(|D(z) - x|^2 - |floor - x|^2), d a
/// distance of features and n the numbers of a picture. The floor needs no new parameter, so that its quality bounds what
/// training must reach from below. With a critic_weight the second phase has lambda g too, and there is a phase `critic`, both as
/// in VqganConfig and from the later of guided_steps and critic_start on; lambda compares g with all of the loss above. Source:
/// Yu et al. 2025 (arXiv:2509.24142), lower-bound guided training. Differs: the paper published no code; the hinge, the phases
/// and where features and critic come in are a reading of its abstract. Units: absolute differences are nats of a Laplace
/// distribution of scale 1 less a constant; the critic's loss has none. Terms: bound = -|D(z) - x| - N log 2; absolute_error,
/// hinge, psnr_db and floor_psnr_db; in the first phase guide instead of the hinge; perceptual = d where it has a weight; of a
/// critic those of VqganConfig.
struct LowerBoundGuidedConfig {
  int64_t guided_steps = 1000;
  double hinge = 1;
  FeatureDistanceConfig perceptual = {};
  PatchCriticConfig critic = {};
  int64_t critic_start = 0;
  ScheduledNumber critic_weight = scheduled_number(0);

  template <class F>
  void fields(F& field) {
    field("guided_steps", guided_steps, "steps of the first phase, towards the floor", at_least(0));
    field("hinge", hinge, "weight of the squared error beyond the floor's", at_least(0));
    field("perceptual", perceptual, "the distance of features in the second phase; off by default");
    field("critic", critic, "the critic of patches");
    field("critic_start", critic_start, "the first step in which the critic learns and counts, not before guided_steps",
          at_least(0));
    field("critic_weight", critic_weight,
          "size of the critic's pull at the last layer, by that of all else; 0: there is no critic (published for VQGAN: 0.8)",
          at_least(0));
  }
};

/// Throws: ConfigError where there is a critic and the decoder has no last layer's weight.
std::shared_ptr<Objective> make_lower_bound_guided(const LowerBoundGuidedConfig& config, AsymmetricVae& model,
                                                   const ObjectiveContext& context);

}  // namespace elbo
