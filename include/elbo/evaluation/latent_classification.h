#pragma once
#include "elbo/evaluation/metric.h"

namespace elbo {

/// What a linear classifier tells of the label from a code alone: trained on means of q(z | x) of training rows (at most the
/// first 20,000), measured on those of the split. latent_accuracy: codes of all that a row has, of any model that encodes; of
/// models of several modalities also latent_accuracy(A), from q(z | x_A) of single modalities or of the subsets asked for, shared
/// latents only. Rows that lack the label or something of A are left out. Source: Shi et al. 2019 (arXiv:1911.03393),
/// section 4.1; Sutter et al. 2021 (arXiv:2105.02470), section 4. Differs: all training rows there, or 500.
std::shared_ptr<Metric> make_latent_classification_metric(const NoConfig&);

}  // namespace elbo
