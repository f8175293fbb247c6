#pragma once
#include <map>
#include <variant>

#include "elbo/models/family.h"
#include "elbo/objectives/objective.h"

namespace elbo {

enum class UniformWeights { uniform };
constexpr auto enum_names(UniformWeights) { return std::array{std::pair{std::string_view("uniform"), UniformWeights::uniform}}; }

/// -E_q[log p(x | z)] + beta JS, with q the mixture of the encoders and JS = sum_v pi_v KL(q_v || f) over the M encoders and the
/// prior, f proportional to prod_v q_v^pi_v: a normal. Not a bound: f depends on x.
/// Source: Sutter et al. 2020 (arXiv:2006.08242), eqs. 5 and 7. For model.aggregation {type: moe}, posterior normal and prior
/// standard_normal. Missing modalities leave, and pi is normalised over the rest and the prior.
/// Differs: z is drawn from the M encoders; the authors' code draws from the prior too, in 1/(M + 1) of the rows:
/// `sample_prior`. Units: nats per example. Terms: bound (the ELBO of the mixture, weights 1, whatever is optimised),
/// reconstruction, kl, js. Gradient: into f as well. Throws: ConfigError.
struct MmJsdConfig {
  std::variant<UniformWeights, std::map<std::string, double>> weights = UniformWeights::uniform;
  ScheduledNumber beta = scheduled_number(1);
  double private_beta = 1;
  int64_t samples = 1;
  bool sample_prior = false;

  template <class F>
  void fields(F& field) {
    field("weights", weights, "pi: uniform, or a number for each modality and for prior, 1 in all", more_than(0));
    field("beta", beta, "weight of JS", at_least(0));
    field("private_beta", private_beta, "weight of the divergences of private latents", at_least(0));
    field("samples", samples, "samples K an example and component", between(1, 100'000));
    field("sample_prior", sample_prior, "draw from the prior as one more component, as the authors' code does");
  }
};

std::shared_ptr<Objective> make_mm_jsd(const MmJsdConfig& config, Multimodal& model, const ObjectiveContext& context);

}  // namespace elbo
