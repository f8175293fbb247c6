#pragma once
#include "support/linear_gaussian.h"

namespace elbo {

/// The scalar conjugate model with a copy of the posterior's and the prior's mean for each row, so that one backward pass gives a
/// row's own gradient: B independent estimates.
class RowGaussian final : public Variational {
 public:
  RowGaussian(int64_t B, double q_mean, double q_variance)
      : mean(torch::full({B, 1}, q_mean, torch::kDouble).set_requires_grad(true)),
        prior_mean(torch::zeros({B, 1}, torch::kDouble).set_requires_grad(true)),
        log_var_(torch::full({B, 1}, std::log(q_variance), torch::kDouble)) {}

  Latents infer(const Batch& batch, int64_t K, Noise& noise) override {
    const auto q = std::make_shared<Normal>(mean, log_var_);
    return {.layers = {{.q = q, .p = prior_of(), .z = q->rsample({K, batch.size()}, noise)}}};
  }
  Latents prior(const Batch& batch, int64_t K, Noise& noise) override {
    const auto p = prior_of();
    return {.layers = {{.q = p, .p = p, .z = p->sample({K, batch.size()}, noise)}}};
  }
  std::vector<Observation> decode(const Latents& latents, const Batch& batch) override {
    return {{.likelihood = Normal::with_scale(latents.layers[0].z, 1, 1), .target = batch.at("x")}};
  }
  std::vector<Tensor> inference_parameters() override { return {mean}; }

  Tensor mean, prior_mean;

 private:
  DistributionPtr prior_of() const { return std::make_shared<Normal>(prior_mean, torch::zeros_like(prior_mean)); }
  Tensor log_var_;
};

}  // namespace elbo
