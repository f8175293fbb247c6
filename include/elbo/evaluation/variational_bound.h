#pragma once
#include <map>

#include "elbo/evaluation/metric.h"
#include "elbo/models/family.h"

namespace elbo {

/// The one-sample evidence lower bound, elbo = -(reconstruction + kl), one value an example.
/// Source: Kingma & Welling 2014 (arXiv:1312.6114), eq. 7 where every layer's KL has a closed form, else eq. 6 for that layer.
/// Units: nats.
struct BoundTerms {
  Tensor elbo = {};            // [N] float64 on the host
  Tensor reconstruction = {};  // [N], -log p(x | z)
  Tensor kl = {};              // [N], summed over layers
  /// Where there are several modalities -log p(x_m | z) of each, by name, [N]: zeros where the row lacks it.
  std::map<std::string, Tensor> reconstruction_of = {};
  std::map<std::string, Tensor> present = {};  // [N] bool: rows that have the modality; of a batch only where some may lack it
  /// The layers whose KL is a Monte Carlo estimate, by name.
  std::vector<std::string> monte_carlo_layers = {};
};

/// Of one batch, from K samples an example.
BoundTerms bound_terms(Variational& model, const Batch& batch, int64_t K, Noise& noise);

/// Of the split, from one sample an example. Throws: UsageError when the model is not variational.
BoundTerms bound_terms(const EvaluationContext& context);

/// elbo, reconstruction and kl, in nats; of several modalities reconstruction(m) of each, over the rows that have it.
std::shared_ptr<Metric> make_elbo_metric(const NoConfig&);

}  // namespace elbo
