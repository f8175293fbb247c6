#pragma once
#include <ATen/ops/linalg_qr.h>
#include <ATen/ops/linalg_solve.h>

#include <cmath>

#include "elbo/distributions/normal.h"
#include "elbo/distributions/normal_likelihood.h"
#include "elbo/distributions/normal_posterior.h"
#include "elbo/models/multimodal_vae.h"
#include "elbo/nn/mlp.h"
#include "elbo/objectives/objective.h"
#include "support/linear_gaussian.h"

namespace elbo {

/// Normal numbers whose means, variances and products over K = 2 D samples are exactly those of N(0, I): averages of quadratic
/// functions are integrals. Every component and row gets the same.
class SigmaPoints final : public Noise {
 public:
  Tensor normal(at::IntArrayRef leading, at::IntArrayRef event) override {
    const auto D = event.back(), K = leading[leading.size() - 2];
    if (K != 2 * D) ADD_FAILURE() << "sigma points need K = 2 D, got K = " << K << ", D = " << D;
    const auto eye = std::sqrt(static_cast<double>(D)) * torch::eye(D, torch::kDouble);
    return torch::cat({eye, -eye}).unsqueeze(1).expand(joined(leading, event)).contiguous();
  }
  Tensor uniform(at::IntArrayRef leading, at::IntArrayRef event) override { return torch::full(joined(leading, event), 0.5); }
};

/// p(z) = N(0, I), x_m = W_m z + b_m + s_m e, as a multimodal_vae of linear networks: W_m has orthogonal columns, so that the
/// posterior given any subset is a diagonal normal and every integral is known. Modalities m0, m1, …; float64.
class LinearBed {
 public:
  struct Options {
    int64_t D = 3;
    std::vector<int64_t> sizes = {4, 5, 6};
    std::vector<double> scales = {0.7, 0.5, 0.9};
    int64_t private_size = 0;
    DecoderVariance variance = DecoderVariance::fixed;
  };
  /// What the encoders say: a factor q(z | x_m) / p(z), or the exact q(z | x_m).
  enum class Encodes { likelihood_factors, posteriors };

  LinearBed(const AggregatorChoice& aggregation, Encodes encodes, const Options& options) : options_(options) {
    MultimodalVaeConfig config;
    config.latent_size = options.D;
    config.private_size = options.private_size;
    config.aggregation = aggregation;
    config.posterior.set("normal", NormalPosteriorConfig{.log_var_clamp = Clamp::none});
    DataSpec spec;
    for (size_t m = 0; m < options.sizes.size(); ++m) {
      auto& modality = config.modalities[name(m)];
      modality.encoder.set("mlp", MlpConfig{.hidden = {}});
      modality.decoder.set("mlp", MlpConfig{.hidden = {}});
      modality.likelihood.set("normal", NormalLikelihoodConfig{.scale = options.scales[m], .variance = options.variance});
      spec[name(m)] = {.shape = {options.sizes[m]}, .kind = ValueKind::real};
    }
    Stream init(1, "init", at::kCPU);
    model = std::make_shared<MultimodalVae>(config, ModelContext{.spec = spec, .init = init});
    model->to(torch::kDouble);
    for (size_t m = 0; m < options.sizes.size(); ++m) fill(m, encodes);
    fill_joint();
  }
  LinearBed(const AggregatorChoice& aggregation, Encodes encodes) : LinearBed(aggregation, encodes, Options{}) {}

  static std::string name(size_t m) { return "m" + std::to_string(m); }
  Subset all() const { return model->modalities(); }

  /// Rows of the model's own distribution.
  Batch draw(int64_t B, uint64_t seed = 11) const {
    Stream noise(seed, "data", at::kCPU, 0, torch::kDouble);
    const auto z = noise.normal({B}, {options_.D});
    Batch batch{.fields = {}, .index = torch::arange(B)};
    for (size_t m = 0; m < options_.sizes.size(); ++m) {
      auto x = z.matmul(W[m].t()) + b[m] + options_.scales[m] * noise.normal({B}, {options_.sizes[m]});
      if (options_.private_size > 0) x = x + noise.normal({B}, {options_.private_size}).matmul(V[m].t());
      batch.fields[name(m)] = {.value = x};
    }
    return batch;
  }

  /// Precision of the factor that x_m adds, [D].
  Tensor precision(size_t m) const { return W[m].square().sum(0) / std::pow(options_.scales[m], 2); }
  /// Its mean, [B, D].
  Tensor factor_mean(size_t m, const Batch& batch) const {
    return (batch.at(name(m)) - b[m]).matmul(W[m]) / W[m].square().sum(0);
  }
  /// p(z | x_A), exact. Private latents are integrated out.
  std::shared_ptr<Normal> exact(const Batch& batch, const std::vector<size_t>& given) const {
    auto total = torch::ones({options_.D}, torch::kDouble);
    auto weighted = torch::zeros({batch.size(), options_.D}, torch::kDouble);
    for (const auto m : given) {
      total = total + precision(m);
      weighted = weighted + precision(m) * factor_mean(m, batch);
    }
    const auto mean = weighted / total;
    return std::make_shared<Normal>(mean, (-total.log()).expand_as(mean).contiguous());
  }
  std::vector<size_t> every() const {
    std::vector<size_t> places;
    for (size_t m = 0; m < options_.sizes.size(); ++m) places.push_back(m);
    return places;
  }
  /// log p(x_A), [B].
  Tensor log_evidence(const Batch& batch, const std::vector<size_t>& of) const {
    std::vector<Tensor> centred, maps, diagonal;
    std::vector<Tensor> own;
    for (const auto m : of) {
      centred.push_back(batch.at(name(m)) - b[m]);
      maps.push_back(W[m]);
      const auto noise = torch::full({options_.sizes[m]}, std::pow(options_.scales[m], 2), torch::kDouble).diag();
      own.push_back(options_.private_size > 0 ? noise + V[m].matmul(V[m].t()) : noise);
    }
    const auto all_maps = torch::cat(maps), x = torch::cat(centred, 1);
    const auto covariance = all_maps.matmul(all_maps.t()) + torch::block_diag(own);
    const auto solved = at::linalg_solve(covariance, x.t()).t();
    return -0.5 * ((x * solved).sum(1) + torch::logdet(covariance) + static_cast<double>(x.size(1)) * std::log(2 * M_PI));
  }
  Tensor log_evidence(const Batch& batch) const { return log_evidence(batch, every()); }

  /// Overwrites a parameter: "posterior.m0.mean.weight", …
  void set(const std::string& path, const Tensor& value) const {
    const torch::NoGradGuard no_grad;
    auto* found = model->named_parameters().find(path);
    if (!found) throw std::runtime_error("no parameter " + path);
    found->copy_(value);
  }
  Tensor parameter(const std::string& path) const { return model->named_parameters()[path]; }

  std::shared_ptr<MultimodalVae> model = nullptr;
  std::vector<Tensor> W = {}, V = {}, b = {};

 private:
  void fill(size_t m, Encodes encodes) {
    const torch::NoGradGuard no_grad;
    const auto phase = static_cast<double>(m);
    const auto columns = options_.D + options_.private_size;
    const auto [orthonormal, r] = at::linalg_qr(wavy({options_.sizes[m], columns}, phase));
    const auto scaled = orthonormal * (1.25 + 0.75 * wavy({columns}, 2 * phase + 1));  // between 0.5 and 2
    W.push_back(scaled.narrow(1, 0, options_.D).clone());
    V.push_back(scaled.narrow(1, options_.D, options_.private_size).clone());
    b.push_back(0.3 * wavy({options_.sizes[m]}, 4 * phase));
    set("decoder." + name(m) + ".output.weight", scaled);
    set("decoder." + name(m) + ".output.bias", b[m]);
    set_head("posterior." + name(m), m, W[m], encodes);
    if (options_.private_size > 0) set_head("private_posterior." + name(m), m, V[m], Encodes::posteriors);
  }
  /// The exact posterior given all.
  void fill_joint() {
    if (!model->named_parameters().contains("joint_posterior.mean.weight")) return;
    const torch::NoGradGuard no_grad;
    auto total = torch::ones({options_.D}, torch::kDouble), bias = torch::zeros({options_.D}, torch::kDouble);
    for (const auto m : every()) total = total + precision(m);
    std::vector<Tensor> weights;
    for (const auto m : every()) {
      weights.push_back(W[m].t() / std::pow(options_.scales[m], 2) / total.unsqueeze(1));
      bias = bias - weights.back().matmul(b[m]);
    }
    set("joint_posterior.mean.weight", torch::cat(weights, 1));
    set("joint_posterior.mean.bias", bias);
    set("joint_posterior.log_var.weight", torch::zeros_like(torch::cat(weights, 1)));
    set("joint_posterior.log_var.bias", -total.log());
  }
  void set_head(const std::string& head, size_t m, const Tensor& map, Encodes encodes) {
    if (!model->named_parameters().contains(head + ".mean.weight")) return;
    const auto square = map.square().sum(0);
    const auto factor = square / std::pow(options_.scales[m], 2);
    const auto total = encodes == Encodes::posteriors ? factor + 1 : factor;
    const auto weight = map.t() / square.unsqueeze(1) * (factor / total).unsqueeze(1);
    set(head + ".mean.weight", weight);
    set(head + ".mean.bias", -weight.matmul(b[m]));
    set(head + ".log_var.weight", torch::zeros_like(weight));
    set(head + ".log_var.bias", -total.log());
  }

  Options options_;
};

/// An aggregation by its name and config.
template <class Config = NoConfig>
AggregatorChoice aggregation(const std::string& type, Config config = {}) {
  AggregatorChoice choice(aggregators, type);
  choice.set(type, std::move(config));
  return choice;
}

}  // namespace elbo
