// The catalogs of posteriors, priors and likelihoods.
#include <gmock/gmock.h>

#include "elbo/base/error.h"
#include "elbo/distributions/bernoulli_likelihood.h"
#include "elbo/distributions/categorical_likelihood.h"
#include "elbo/distributions/kl.h"
#include "elbo/distributions/mixture_prior.h"
#include "elbo/distributions/normal.h"
#include "elbo/distributions/normal_likelihood.h"
#include "elbo/distributions/normal_posterior.h"
#include "elbo/distributions/standard_normal_prior.h"
#include "support/gradients.h"

using namespace elbo;

namespace distribution_components {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

Stream init_stream() { return Stream(1, "init", torch::kCPU); }

std::vector<std::string> parameter_names(const torch::nn::Module& module) { return module.named_parameters().keys(); }

TEST(DistributionCatalogs, ListTheirComponents) {
  EXPECT_THAT(posteriors().names(), testing::Contains("normal"));
  EXPECT_THAT(priors().names(), testing::IsSupersetOf({"mixture", "standard_normal"}));
  EXPECT_THAT(likelihoods().names(), testing::IsSupersetOf({"bernoulli", "categorical", "normal"}));
}

TEST(NormalPosterior, IsTwoLinearHeadsDrawnFromTheInitStream) {
  auto stream = init_stream();
  const auto posterior = posteriors().make("normal", {.num_features = 6, .latent_size = 3, .init = stream});
  EXPECT_THAT(parameter_names(*posterior), ElementsAre("mean.weight", "mean.bias", "log_var.weight", "log_var.bias"));
  auto again = init_stream();
  const auto other = posteriors().make("normal", {.num_features = 6, .latent_size = 3, .init = again});
  for (size_t i = 0; i < 4; ++i) expect_equal(other->parameters()[i], posterior->parameters()[i]);

  const auto features = wavy({5, 6}).to(torch::kFloat);
  const auto q = posterior->forward(features);
  const auto named = posterior->named_parameters();
  EXPECT_EQ(q->batch_shape(), (Shape{5}));
  EXPECT_EQ(q->event_shape(), (Shape{3}));
  expect_close(q->mean(), torch::linear(features, named["mean.weight"], named["mean.bias"]), 1e-6, 1e-7);
  const auto log_var = torch::linear(features, named["log_var.weight"], named["log_var.bias"]);
  expect_close(q->variance(), log_var.exp(), 2e-4);  // the soft clamp moves it by 1e-4 at most
  EXPECT_THROW(posterior->forward(torch::zeros({5, 7})), ShapeError);
}

TEST(NormalPosterior, DoesNotTouchTheDefaultGenerator) {
  torch::manual_seed(3);
  const auto expected = torch::rand({4});
  torch::manual_seed(3);
  auto stream = init_stream();
  posteriors().make("normal", {.num_features = 6, .latent_size = 3, .init = stream});
  expect_equal(torch::rand({4}), expected);
}

TEST(Clamp, SoftKeepsABoundAndAGradient) {
  auto x = torch::tensor({-1e4, -12.0, 0.0, 12.0, 1e4}, torch::kDouble).requires_grad_();
  const auto soft = clamp(x, Clamp::soft, -10, 10);
  EXPECT_TRUE((soft.abs() < 10 + 1e-6).all().item<bool>());
  EXPECT_NEAR(soft[2].item<double>(), 0, 1e-4);
  const auto slope = gradient_of(soft, x);
  EXPECT_GT(slope[1].item<double>(), 0.1);
  EXPECT_GT(slope[3].item<double>(), 0.1);
  expect_equal(clamp(x, Clamp::hard, -10, 10).detach(), values({-10, -10, 0, 10, 10}));
  expect_equal(clamp(x, Clamp::none, -10, 10), x);
  expect_gradient_matches([](const std::vector<Tensor>& in) { return clamp(in[0], Clamp::soft, -1, 2); }, {wavy({9}) * 4});
}

TEST(StandardNormalPrior, HasNothingToLearnAndGivesTheFastPath) {
  auto stream = init_stream();
  const auto prior = priors().make("standard_normal", {.latent_size = 3, .init = stream});
  EXPECT_TRUE(prior->parameters().empty());
  const auto p = prior->forward(5);
  EXPECT_EQ(p->name(), "standard_normal");
  EXPECT_EQ(p->batch_shape(), (Shape{5}));
  EXPECT_TRUE(has_closed_form_kl(Normal(torch::zeros({5, 3}), torch::zeros({5, 3})), *p));
  prior->to(torch::kDouble);
  EXPECT_EQ(prior->forward(5)->mean().scalar_type(), torch::kDouble);
}

TEST(MixturePrior, LearnsWeightsMeansAndVariances) {
  auto stream = init_stream();
  const auto prior = make_mixture_prior({.components = 4, .spread = 2}, {.latent_size = 3, .init = stream});
  EXPECT_THAT(parameter_names(*prior), ElementsAre("logits", "means", "log_vars"));
  const auto p = prior->forward(5);
  EXPECT_EQ(p->batch_shape(), (Shape{5}));
  EXPECT_EQ(p->event_shape(), (Shape{3}));
  const auto log_prob = p->log_prob(wavy({2, 5, 3}).to(torch::kFloat));
  ASSERT_EQ(log_prob.sizes(), (Shape{2, 5}));
  for (const auto& parameter : prior->parameters()) EXPECT_GT(gradient_of(log_prob, parameter).abs().sum().item<double>(), 0);
  EXPECT_GT(prior->named_parameters()["means"].std().item<double>(), 1);
}

std::string refusal(const char* type, const FieldSpec& field) {
  try {
    likelihoods().make(type, {.field = field});
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "accepted";
}

TEST(BernoulliLikelihood, RefusesRealDataUnlessToldItIsNoLikelihood) {
  const FieldSpec binary{.shape = {1, 4, 4}, .kind = ValueKind::binary}, unit{.shape = {1, 4, 4}, .kind = ValueKind::unit};
  EXPECT_EQ(refusal("bernoulli", binary), "accepted");
  EXPECT_THAT(refusal("bernoulli", unit), HasSubstr("allow_unit: true"));
  EXPECT_NO_THROW(make_bernoulli_likelihood({.allow_unit = true}, {.field = unit}));
  EXPECT_THAT(refusal("bernoulli", {.shape = {2}, .kind = ValueKind::real}), HasSubstr("use likelihood 'normal'"));
  EXPECT_THAT(refusal("bernoulli", {.shape = {}, .kind = ValueKind::category, .num_classes = 3}),
              HasSubstr("use likelihood 'categorical'"));
  EXPECT_THROW(make_bernoulli_likelihood({.allow_unit = true}, {.field = {.shape = {2}, .kind = ValueKind::real}}), ConfigError);
}

TEST(BernoulliLikelihood, TakesSamplesAndStartsAtTheDataMean) {
  const FieldSpec binary{.shape = {1, 4, 4}, .kind = ValueKind::binary};
  const auto likelihood = likelihoods().make("bernoulli", {.field = binary});
  EXPECT_EQ(likelihood->parameter_shape(), (Shape{1, 4, 4}));
  const auto p = likelihood->forward(torch::zeros({3, 2, 1, 4, 4}));
  EXPECT_EQ(p->batch_shape(), (Shape{3, 2}));
  expect_close(p->log_prob(torch::ones({2, 1, 4, 4})), -16 * std::log(2.0), 1e-6);
  const auto mean = torch::linspace(0.1, 0.9, 16).view({1, 4, 4});
  expect_close(likelihood->forward(likelihood->bias_for_mean(mean))->mean(), mean, 1e-5);
  expect_finite(likelihood->bias_for_mean(torch::tensor({0.F, 1.F})));
}

TEST(CategoricalLikelihood, PutsTheClassesFirst) {
  const FieldSpec label{.shape = {}, .kind = ValueKind::category, .num_classes = 7};
  const FieldSpec map{.shape = {4, 5}, .kind = ValueKind::category, .num_classes = 7};
  const FieldSpec image{.shape = {3, 4, 5}, .kind = ValueKind::category, .num_classes = 7};
  for (const auto& [field, parameters] : {std::pair{label, Shape{7}}, {map, Shape{7, 4, 5}}, {image, Shape{21, 4, 5}}}) {
    const auto likelihood = likelihoods().make("categorical", {.field = field});
    EXPECT_EQ(likelihood->parameter_shape(), parameters);
    const auto p = likelihood->forward(torch::zeros(joined({6, 2}, parameters)));
    EXPECT_EQ(p->batch_shape(), (Shape{6, 2}));
    EXPECT_EQ(p->event_shape(), field.shape);
    const auto positions = static_cast<double>(c10::multiply_integers(field.shape));
    expect_close(p->log_prob(torch::zeros(joined({2}, field.shape), torch::kLong)), -positions * std::log(7.0), 1e-6);
  }
  EXPECT_FALSE(likelihoods().make("categorical", {.field = label})->bias_for_mean(torch::zeros({})).defined());
  EXPECT_THAT(refusal("categorical", {.shape = {2}, .kind = ValueKind::binary}), HasSubstr("class indices"));
}

TEST(NormalLikelihood, HasItsScaleAndMean) {
  const FieldSpec real{.shape = {2, 3}, .kind = ValueKind::real};
  const auto plain = likelihoods().make("normal", {.field = real});
  const auto output = wavy({4, 2, 3}), x = wavy({4, 2, 3}, 1);
  expect_close(plain->forward(output)->log_prob(x), -0.5 * (x - output).square().sum({1, 2}) - 3 * std::log(2 * std::numbers::pi),
               1e-13);
  const auto squashed = make_normal_likelihood({.scale = 0.1, .mean = MeanActivation::sigmoid}, {.field = real});
  expect_close(squashed->forward(output)->mean(), output.sigmoid(), 1e-14);
  expect_close(squashed->forward(output)->variance(), 0.01, 1e-13);
  const auto mean = torch::rand({2, 3}) * 0.8 + 0.1;
  expect_close(squashed->forward(squashed->bias_for_mean(mean))->mean(), mean, 1e-5);
  expect_equal(plain->bias_for_mean(mean), mean);
  EXPECT_THAT(refusal("normal", {.shape = {}, .kind = ValueKind::category, .num_classes = 3}),
              HasSubstr("use likelihood 'categorical'"));
}

}  // namespace
}  // namespace distribution_components
