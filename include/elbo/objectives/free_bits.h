#pragma once
#include "elbo/objectives/elbo.h"

namespace elbo {

/// What free bits are granted to.
enum class FreeBitsOf {
  latent,  // each latent has its own
  total    // the sum over latents has them in common
};
constexpr auto enum_names(FreeBitsOf) {
  return std::array{std::pair{std::string_view("latent"), FreeBitsOf::latent},
                    std::pair{std::string_view("total"), FreeBitsOf::total}};
}

/// Over what the KL is averaged before it is compared.
enum class FreeBitsOver { batch, example };
constexpr auto enum_names(FreeBitsOver) {
  return std::array{std::pair{std::string_view("batch"), FreeBitsOver::batch},
                    std::pair{std::string_view("example"), FreeBitsOver::example}};
}

/// Evidence lower bound in which a KL below lambda costs nothing more: -E_q[log p(x | z)] + sum_d max(lambda, mean_B KL_d).
/// Source: Kingma et al. 2016 (arXiv:1606.04934), appendix C.8 with one latent a group; `over: example` and `of: total` are the
/// variants max(lambda, KL) of each example and of the KL summed over latents, in common use. `over: batch` couples the batch.
/// Units: nats per example. Terms: bound (the ELBO, without lambda), reconstruction, kl.
/// Gradient: exactly zero through a KL that is below lambda.
struct FreeBitsConfig {
  ScheduledNumber lambda = scheduled_number(0.25);
  FreeBitsOf of = FreeBitsOf::latent;
  FreeBitsOver over = FreeBitsOver::batch;
  int64_t samples = 1;
  KlEstimator kl = KlEstimator::analytic;

  template <class F>
  void fields(F& field) {
    field("lambda", lambda, "nats that are free", at_least(0));
    field("of", of, "what lambda is granted to: each latent, or the total");
    field("over", over, "what is compared with lambda: the mean KL of the batch, or the KL of each example");
    field("samples", samples, "posterior samples K an example", between(1, 100'000));
    field("kl", kl, "KL term: analytic, or monte_carlo on the samples");
  }
};

std::shared_ptr<Objective> make_free_bits(const FreeBitsConfig& config, Variational& model, const ObjectiveContext& context);

}  // namespace elbo
