#pragma once
#include "elbo/models/family.h"
#include "elbo/objectives/objective.h"

namespace elbo {

/// What an encoder alone says of the shared latents.
enum class UnimodalSource {
  posterior,  // the product of its head and the prior: what generation from it uses
  head        // its head itself, as published: likelihood factor in the product and posterior here, which can't both be exact
};
constexpr auto enum_names(UnimodalSource) {
  using namespace std::string_view_literals;
  return std::array{std::pair{"posterior"sv, UnimodalSource::posterior}, std::pair{"head"sv, UnimodalSource::head}};
}

/// Shared latents by product of experts, private latents of each modality; from every source c in {all, 1, …, M} z ~ q_c is
/// made to explain all modalities: the sum over c of -E[sum_n log p(x_n | z, u_n)] + beta KL(q_c(z) || p) + private_beta sum_n
/// KL(q(u_n | x_n) || p). A sum of M + 1 negative ELBOs. For model.aggregation {type: poe}.
/// Source: Lee & Pavlovic 2021 (arXiv:2012.13024), eq. 6. Missing modalities leave the product, their own source and every
/// reconstruction. Units: nats per example. Terms: bound (that of c = all, weights 1), reconstruction, kl.
/// Throws: ConfigError for another aggregation.
struct DmvaeConfig {
  UnimodalSource unimodal = UnimodalSource::posterior;
  ScheduledNumber beta = scheduled_number(1);
  double private_beta = 1;
  int64_t samples = 1;

  template <class F>
  void fields(F& field) {
    field("unimodal", unimodal, "q of one modality: posterior (with the prior) or head (as published)");
    field("beta", beta, "weight of the shared latents' divergences", at_least(0));
    field("private_beta", private_beta, "weight of the private latents' divergences", at_least(0));
    field("samples", samples, "samples K an example and source", between(1, 100'000));
  }
};

std::shared_ptr<Objective> make_dmvae(const DmvaeConfig& config, Multimodal& model, const ObjectiveContext& context);

}  // namespace elbo
