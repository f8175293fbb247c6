#pragma once
#include <torch/nn/module.h>

#include "elbo/config/catalog.h"
#include "elbo/config/choice.h"
#include "elbo/data/spec.h"
#include "elbo/distributions/distribution.h"

namespace elbo {

/// From a decoder's output to p(x | z). Tells the decoder how wide its last layer must be.
class Likelihood : public torch::nn::Module {
 public:
  /// Shape of the parameters of one example, e.g. [C, H, W] for a Bernoulli, [V, H, W] for a categorical.
  virtual Shape parameter_shape() const = 0;
  /// Shapes: parameters [batch..., parameter_shape...] -> batch, event = the field's shape. Log-probabilities in nats, summed
  /// over the event.
  virtual DistributionPtr forward(const Tensor& parameters) = 0;
  /// The output bias at which the likelihood's mean is `mean` (of one example's shape); undefined when there is no such bias.
  virtual Tensor bias_for_mean(const Tensor& mean) const = 0;
  /// What training optimises instead of forward(), where that is a distribution fitted to the very targets (the optimal scale of
  /// sigma-VAE); nullptr where there is none. It has seen its x, so it is never reported as a likelihood.
  virtual DistributionPtr surrogate(const Tensor& /*parameters*/, const Tensor& /*target*/) { return nullptr; }
};

struct LikelihoodContext {
  const FieldSpec& field;  // what is modelled; a likelihood that can't be one for its kind is a ConfigError
};

/// The axis `likelihood`: bernoulli, categorical, normal.
Catalog<Likelihood, const LikelihoodContext&>& likelihoods();
using LikelihoodChoice = Choice<Likelihood, const LikelihoodContext&>;

}  // namespace elbo
