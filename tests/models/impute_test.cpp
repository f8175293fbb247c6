// Tables: what a VAE makes of missing cells, and how they are filled.
#include "elbo/models/impute.h"

#include <gmock/gmock.h>

#include "elbo/distributions/normal.h"
#include "elbo/models/vae.h"
#include "support/gradients.h"

namespace elbo::impute_test {
namespace {

/// p(z) = N(0, I), p(x | z) = N(W z, sigma^2 I), and a posterior that is too wide and knows nothing: every weight counts.
class WideGaussian final : public Variational {
 public:
  Latents infer(const Batch& batch, int64_t K, Noise& noise) override {
    const auto B = batch.size();
    const auto q = std::make_shared<Normal>(torch::zeros({B, 2}, torch::kDouble), torch::full({B, 2}, 0.5, torch::kDouble));
    return {.layers = {{.q = q, .p = prior_of(B), .z = q->rsample({K, B}, noise)}}};
  }
  Latents prior(const Batch&, int64_t, Noise&) override { return {}; }
  std::vector<Observation> decode(const Latents& latents, const Batch& batch) override {
    const auto& x = batch.fields.at("x");
    return {{.likelihood = Normal::with_scale(torch::matmul(latents.layers[0].z, W.t()), sigma, 1),
             .target = x.value,
             .valid = x.valid}};
  }
  std::vector<Tensor> inference_parameters() override { return {}; }
  static DistributionPtr prior_of(int64_t B) {
    return std::make_shared<Normal>(torch::zeros({B, 2}, torch::kDouble), torch::zeros({B, 2}, torch::kDouble));
  }

  Tensor W = wavy({4, 2}, 1);
  double sigma = 0.6;
};

TEST(Impute, OfALinearGaussianIsTheConditionalMean) {
  WideGaussian model;
  const torch::NoGradGuard no_grad;
  const int64_t B = 40, K = 20'000;  // 40 estimates of the same row
  const auto row = values({1.2, -0.4, 0.3, 0.8});
  const auto valid = torch::tensor({1, 0, 1, 0}).to(torch::kBool);
  const Batch batch = {
      .fields = {{"x", {.value = torch::where(valid, row, std::nan("")).expand({B, 4}), .valid = valid.expand({B, 4})}}},
      .index = torch::arange(B)};
  Stream noise(1, "noise", at::kCPU, 0, at::kDouble);
  const auto filled = impute(model, batch, K, noise);
  // E[x_m | x_o] = C_mo C_oo^-1 x_o with C = W W' + sigma^2.
  const auto C = model.W.matmul(model.W.t()) + model.sigma * model.sigma * torch::eye(4, torch::kDouble);
  const auto observed = torch::tensor({0, 2}), missing = torch::tensor({1, 3});
  const auto of = [&](const Tensor& r, const Tensor& c) { return C.index_select(0, r).index_select(1, c); };
  const auto exact = of(missing, observed)
                         .matmul(torch::linalg_solve(of(observed, observed), row.index_select(0, observed).unsqueeze(1)))
                         .squeeze(1);
  for (int64_t i = 0; i < 2; ++i) {
    const auto estimates = filled.select(1, missing[i].item<int64_t>());
    const auto error = estimates.std().item<double>() / std::sqrt(static_cast<double>(B));
    EXPECT_NEAR(estimates.mean().item<double>(), exact[i].item<double>(), 4 * error);
    EXPECT_LT(error, 4e-3);
  }
  expect_equal(filled.index_select(1, observed), row.index_select(0, observed).expand({B, 2}));
}

TEST(Impute, LeavesAWholeBatchAlone) {
  WideGaussian model;
  Stream noise(1, "noise", at::kCPU, 0, at::kDouble);
  const auto x = wavy({3, 4});
  expect_equal(impute(model, {.fields = {{"x", {.value = x}}}, .index = torch::arange(3)}, 5, noise), x);
}

const DataSpec& table() {
  static const DataSpec spec = {{"x",
                                 {.shape = {4},
                                  .kind = ValueKind::table,
                                  .columns = {{.name = "age"},
                                              {.name = "colour", .kind = ColumnKind::category, .classes = {"r", "g", "b"}},
                                              {.name = "visits", .kind = ColumnKind::count},
                                              {.name = "income"}}}}};
  return spec;
}

std::shared_ptr<Vae> table_vae() {
  VaeConfig config{.latent_size = 3};
  config.likelihood.set("table");
  Stream init(1, "init", at::kCPU);
  return std::make_shared<Vae>(config, ModelContext{.spec = table(), .init = init});
}

/// Three rows; `anything` stands where a cell is missing.
Batch rows(float anything) {
  const auto value = torch::tensor({0.5F, 2.F, 7.F, -1.5F, -1.F, 0.F, 0.F, 3.F, 0.2F, 1.F, 2.F, 0.1F}).view({3, 4});
  const auto valid = torch::tensor({1, 1, 0, 1, 0, 1, 1, 1, 1, 0, 0, 0}).to(torch::kBool).view({3, 4});
  return {.fields = {{"x", {.value = torch::where(valid, value, anything), .valid = valid}}}, .index = torch::arange(3)};
}

TEST(TableVae, WhatStandsInAMissingCellChangesNeitherLossNorGradient) {
  std::vector<Tensor> first;
  for (const float anything : {0.F, NAN, 1e30F, -4.F}) {
    const auto vae = table_vae();
    Stream noise(1, "noise", at::kCPU);
    const auto batch = rows(anything);
    const auto latents = vae->infer(batch, 2, noise);
    const auto bound = log_mean_exp(latents, log_weights(latents, log_likelihood(vae->decode(latents, batch))));
    bound.sum().backward();
    std::vector<Tensor> all = {bound.detach()};
    for (const auto& parameter : vae->parameters()) all.push_back(parameter.grad());
    for (const auto& tensor : all) expect_finite(tensor);
    if (first.empty()) first = all;
    for (size_t i = 0; i < all.size(); ++i) expect_equal(all[i], first[i]);
  }
}

TEST(TableVae, FillsCellsInTheTablesCoding) {
  const auto vae = table_vae();
  const torch::NoGradGuard no_grad;
  Stream noise(1, "noise", at::kCPU);
  const auto batch = rows(NAN);
  const auto filled = impute(*vae, batch, 20, noise);
  expect_finite(filled);
  const auto& x = batch.fields.at("x");
  expect_equal(torch::where(x.valid, filled, 0.F), torch::where(x.valid, x.value, 0.F));
  const auto colour = filled[2][1].item<float>();
  EXPECT_TRUE(colour == 0 || colour == 1 || colour == 2) << colour;
  EXPECT_GT(filled[2][2].item<float>(), 0);  // the mean of a count
  EXPECT_EQ(vae->reconstruct(batch).sizes(), (Shape{3, 4}));
  EXPECT_EQ(vae->sample(rows_without_fields(5), 1, noise).sizes(), (Shape{5, 4}));
  EXPECT_EQ(vae->named_parameters()["encoder.layers.0.weight"].size(1), 2 + 1 + 3 + 4);
}

}  // namespace
}  // namespace elbo::impute_test
