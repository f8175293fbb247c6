#pragma once
#include <functional>
#include <map>
#include <string>

#include "elbo/evaluation/likelihood.h"

namespace elbo {

/// What one pass of samples estimates: log p(x_evidence), importance-sampled from q(z | x_given), and for each target m
/// log E[p(x_m | z)] under q(z | x_given) itself.
struct SubsetQuery {
  Subset given = {};     // none: z is drawn from the prior
  Subset evidence = {};  // usually what is given; less or more is as right, and varies more
  Subset targets = {};
};

struct SubsetEstimate {
  LogLikelihood log_likelihood = {};
  Tensor complete = {};  // [B] bool, on the host: rows that have all that the number is about; the others' numbers mean nothing
};

struct SubsetEstimates {
  SubsetEstimate evidence = {};
  std::map<std::string, SubsetEstimate> predictive = {};  // by target
};

/// Of one batch whose first row is `first_row` of its split, from K samples of every component of q(z | x_given), of which
/// max_rows / B (and at least 16) are in memory at once. Of private latents those that are not given are drawn from their prior.
/// Source: Burda et al. 2016 (arXiv:1509.00519), eq. 8; with mixtures Shi et al. 2019 (arXiv:1911.03393), eq. 3.
/// Units: nats. Weights of modalities never enter. Throws: UsageError where q(z | x_given) can't be made.
SubsetEstimates subset_log_likelihood(Multimodal& model, const SubsetQuery& query, const Batch& batch, int64_t first_row,
                                      int64_t K, int64_t max_rows, PlacedNoise& noise,
                                      const std::function<void(int64_t)>& chunk_done = {});

/// Whether there is a q(z | x_given).
bool can_infer(const Multimodal& model, const Subset& given);

/// The metric log_likelihood of models of several modalities: log_likelihood, p of all of them; with subsets A asked for
/// log_likelihood(A), and of each other modality m log_likelihood(m|A), the mean of p(x_m | z) over z from q(z | x_A), a lower
/// bound in expectation only of what the model generates, and log_likelihood_ratio(m|A) = log p(x_A, x_m) - log p(x_A), with
/// effective_sample_size(…) of each. Rows that lack a modality that a number is about are left out of it; examples(…) then counts
/// those that are in. Of a family of subsets those without a q(z | x_A) are left out.
std::vector<Measurement> subset_likelihoods(const EvaluationContext& context);
/// Throws: UsageError for subsets that aren't the model's, or named ones without a q(z | x_A).
void check_subset_likelihoods(const EvaluationContext& context);

}  // namespace elbo
