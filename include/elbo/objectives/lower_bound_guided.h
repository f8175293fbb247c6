#pragma once
#include "elbo/models/asymmetric_vae.h"
#include "elbo/objectives/objective.h"

namespace elbo {

/// Trains the decoder of an asymmetric VAE in two phases: until `guided_steps` towards the base's picture enlarged bicubically,
/// |D(z) - floor|; then towards the target, |D(z) - x| + hinge relu(|D(z) - x|^2 - |floor - x|^2). The floor needs no new
/// parameter, so that its quality bounds what training must reach from below. Source: Yu et al. 2025 (arXiv:2509.24142),
/// lower-bound guided training. Differs: the paper published no code; the hinge and the phases are a reading of its abstract; no
/// perceptual or adversarial term. Units: absolute differences are nats of a Laplace distribution of scale 1 less a constant.
/// Terms: bound = -|D(z) - x| - N log 2; absolute_error, hinge, psnr_db and floor_psnr_db; in the first phase guide instead of
/// the hinge.
struct LowerBoundGuidedConfig {
  int64_t guided_steps = 1000;
  double hinge = 1;

  template <class F>
  void fields(F& field) {
    field("guided_steps", guided_steps, "steps of the first phase, towards the floor", at_least(0));
    field("hinge", hinge, "weight of the squared error beyond the floor's", at_least(0));
  }
};

std::shared_ptr<Objective> make_lower_bound_guided(const LowerBoundGuidedConfig& config, AsymmetricVae& model,
                                                   const ObjectiveContext& context);

}  // namespace elbo
