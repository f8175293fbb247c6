#include "elbo/models/observe.h"

#include <utility>

namespace elbo {

Observation observe(Likelihood& likelihood, const Tensor& parameters, const Field& x) {
  Observation observation{.name = "x", .likelihood = likelihood.forward(parameters), .target = x.value, .valid = x.valid};
  if (const auto surrogate = likelihood.is_training() ? likelihood.surrogate(parameters, x.value) : nullptr) {
    observation.reported = std::exchange(observation.likelihood, surrogate);
  }
  return observation;
}

}  // namespace elbo
