#pragma once
#include "elbo/aggregators/poe.h"
#include "elbo/base/error.h"
#include "elbo/objectives/objective.h"
#include "support/linear_bed.h"

namespace elbo::multimodal_kit {

constexpr auto kFactors = LinearBed::Encodes::likelihood_factors;
constexpr auto kPosteriors = LinearBed::Encodes::posteriors;
constexpr int64_t kB = 5, kSigma = 6;

inline AggregatorChoice poe(PriorExpert prior_expert) { return aggregation("poe", PoeConfig{.prior_expert = prior_expert}); }

inline LossTerms with_noise(Objective& objective, const Batch& batch, Noise& noise) {
  TestStep test;
  Step step{.noise = noise, .streams = test.streams, .collective = test.collective};
  return objective.losses(batch, step);
}
/// Both integrals exact.
inline LossTerms exact(Objective& objective, const Batch& batch) {
  SigmaPoints noise;
  return with_noise(objective, batch, noise);
}
inline LossTerms drawn_losses(Objective& objective, const Batch& batch, uint64_t seed = 1) {
  TestStep test(seed);
  return with_noise(objective, batch, test.noise);
}
inline DistributionPtr all_posterior(const LinearBed& bed, const Batch& batch) {
  return bed.model->posterior(batch, bed.model->experts(batch, bed.all())).layers[0].q;
}
inline Tensor evidence_given(const LinearBed& bed, const Batch& batch, std::vector<size_t> of) { return bed.log_evidence(batch, of); }

inline std::string refusal(const std::function<void()>& run) {
  try {
    run();
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "nothing";
}

}  // namespace elbo::multimodal_kit
