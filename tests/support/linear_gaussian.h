#pragma once
#include <cmath>

#include "elbo/distributions/normal.h"
#include "elbo/models/model.h"
#include "support/tensors.h"

namespace elbo {

/// p(z) = N(prior_mean, I), p(x | z) = N(W z + b, sigma^2 I), q(z | x) = N(A x + c, diag exp(log_var)): every integral is known.
/// Everything in float64. With orthogonal columns of W the exact posterior is within q's family.
class LinearGaussian final : public Model, public Variational {
 public:
  LinearGaussian(const Tensor& weight, const Tensor& bias, double sigma_) : sigma(sigma_) {
    const auto D = weight.size(1);
    W = register_parameter("W", weight.to(torch::kDouble));
    b = register_parameter("b", bias.to(torch::kDouble));
    prior_mean = register_parameter("prior_mean", torch::zeros({D}, torch::kDouble));
    A = register_parameter("A", torch::zeros({D, weight.size(0)}, torch::kDouble));
    c = register_parameter("c", torch::zeros({D}, torch::kDouble));
    log_var = register_parameter("log_var", torch::zeros({D}, torch::kDouble));
  }

  std::string_view family() const override { return "variational"; }
  std::string summary() const override { return "linear-Gaussian"; }

  Latents infer(const Batch& batch, int64_t K, Noise& noise) override {
    const auto x = batch.at("x");
    const auto mean = torch::matmul(x, A.t()) + c;
    const auto q = std::make_shared<Normal>(mean, log_var.expand_as(mean));
    return {.layers = {{.q = q, .p = prior_of(batch.size()), .z = q->rsample({K, batch.size()}, noise)}}};
  }
  Latents prior(const Batch& batch, int64_t K, Noise& noise) override {
    const auto p = prior_of(batch.size());
    return {.layers = {{.q = p, .p = p, .z = p->sample({K, batch.size()}, noise)}}};
  }
  std::vector<Observation> decode(const Latents& latents, const Batch& batch) override {
    const auto mean = torch::matmul(latents.layers[0].z, W.t()) + b;
    return {{.likelihood = Normal::with_scale(mean, sigma, 1), .target = batch.at("x")}};
  }
  std::vector<Tensor> inference_parameters() override { return {A, c, log_var}; }

  /// Sets q to the exact posterior; W must have orthogonal columns.
  void make_posterior_exact() {
    const torch::NoGradGuard no_grad;
    const auto precision = torch::matmul(W.t(), W).diag() + sigma * sigma;  // of M = W'W + sigma^2
    A.copy_(W.t() / precision.unsqueeze(1));
    c.copy_(-torch::matmul(A, b) + sigma * sigma * prior_mean / precision);
    log_var.copy_((sigma * sigma / precision).log());
  }

  /// log N(x; W prior_mean + b, W W' + sigma^2 I). Shapes: [B].
  Tensor log_evidence(const Tensor& x) const {
    const torch::NoGradGuard no_grad;
    const auto X = W.size(0);
    const auto covariance = torch::matmul(W, W.t()) + sigma * sigma * torch::eye(X, torch::kDouble);
    const auto centred = x - torch::matmul(W, prior_mean) - b;
    const auto solved = torch::linalg_solve(covariance, centred.t()).t();
    return -0.5 * ((centred * solved).sum(1) + torch::logdet(covariance) + static_cast<double>(X) * std::log(2 * M_PI));
  }

  Tensor W, b, prior_mean, A, c, log_var;
  double sigma;

 private:
  DistributionPtr prior_of(int64_t B) const {
    const auto mean = prior_mean.expand({B, prior_mean.size(0)});
    return std::make_shared<Normal>(mean, torch::zeros_like(mean));
  }
};

/// x ~ N(z, 1), z ~ N(0, 1), q = N(mean, variance) whatever x is.
inline LinearGaussian scalar_conjugate(double q_mean, double q_variance) {
  LinearGaussian model(torch::ones({1, 1}), torch::zeros({1}), 1);
  const torch::NoGradGuard no_grad;
  model.c.fill_(q_mean);
  model.log_var.fill_(std::log(q_variance));
  return model;
}

/// B rows that all hold the same number.
inline Batch constant_batch(int64_t B, double x) {
  return {.fields = {{"x", {.value = torch::full({B, 1}, x, torch::kDouble)}}}, .index = torch::arange(B)};
}

inline Batch batch_of(const Tensor& x) { return {.fields = {{"x", {.value = x}}}, .index = torch::arange(x.size(0))}; }

/// Float64 noise from a fixed stream, and the step that hands it to an objective.
struct TestStep {
  explicit TestStep(uint64_t seed = 1) : noise(seed, "test", at::kCPU, 0, torch::kDouble), streams(seed, at::kCPU) {}
  Step step() { return {.noise = noise, .streams = streams, .collective = collective}; }
  Stream noise;
  Streams streams;
  Collective collective;
};

inline Tensor term(const LossTerms& losses, const std::string& name) {
  for (const auto& entry : losses.terms) {
    if (entry.name == name) return entry.value;
  }
  ADD_FAILURE() << "no term " << name;
  return {};
}

}  // namespace elbo
