#include "elbo/quantizers/gumbel.h"

#include <cmath>

#include "quantizer_steps.h"
#include "support/gradients.h"

namespace elbo::gumbel_test {

std::shared_ptr<Quantizer> gumbel_of(int64_t codes, int64_t code_size, double temperature,
                                     GumbelSample sample = GumbelSample::soft) {
  QuantizerSteps steps;
  return make_gumbel(
      {.codes = codes, .code_size = code_size, .input_size = 3, .sample = sample, .temperature = scheduled_number(temperature)},
      steps.context());
}

/// Every token has these logits; the value is the relaxed draw itself.
std::shared_ptr<Quantizer> draws_of(const Tensor& logits, double temperature) {
  const auto V = logits.size(0);
  const auto gumbel = gumbel_of(V, V, temperature);
  set(*gumbel, "projection.weight", torch::zeros({V, 3}));
  set(*gumbel, "projection.bias", logits);
  set(*gumbel, "codes", torch::eye(V));
  return gumbel;
}

TEST(Gumbel, KlOfEqualLogitsIsNothingAndOfOneCodeLogV) {
  expect_close(kl_to_uniform(torch::full({2, 7}, 3.5)), 0.0, 0, 1e-6);
  const auto sure = torch::full({3, 7}, -1e4).index_fill(1, torch::tensor({2}), 1e4);
  expect_close(kl_to_uniform(sure), std::log(7.0), 1e-6);
  const auto logits = values({std::log(0.5), std::log(0.25), std::log(0.25)}, {1, 3});
  expect_close(kl_to_uniform(logits), 0.5 * std::log(1.5) + 0.5 * std::log(0.75), 1e-12);
}

TEST(Gumbel, DrawsFollowTheSoftmaxAtEveryTemperature) {
  const auto logits = values({0, 1, -1, 2, 0.3}).to(torch::kFloat);
  const auto p = logits.to(torch::kDouble).softmax(0);
  constexpr int64_t kDraws = 100'000;
  for (const double temperature : {0.05, 1.0, 20.0}) {
    SCOPED_TRACE(temperature);
    const auto drawn = QuantizerSteps(3).forward(*draws_of(logits, temperature), torch::zeros({10, kDraws / 10, 3}));
    expect_equal(drawn.value.argmax(-1), drawn.indices.squeeze(-1));
    const auto frequency = torch::bincount(drawn.indices.flatten(), {}, 5).to(torch::kDouble) / kDraws;
    const auto error = (p * (1 - p) / kDraws).sqrt();
    EXPECT_LT(((frequency - p) / error).abs().max().item<double>(), 4) << frequency;
  }
}

TEST(Gumbel, TheRelaxedDrawGoesFromOneCodeToAllOfThem) {
  const auto logits = values({0, 1, -1, 2, 0.3}).to(torch::kFloat), z = torch::zeros({1, 500, 3});
  const auto cold = QuantizerSteps().forward(*draws_of(logits, 1e-6), z).value;
  EXPECT_GT(std::get<0>(cold.max(-1)).min().item<double>(), 1 - 1e-6);
  expect_close(QuantizerSteps().forward(*draws_of(logits, 1e6), z).value, 0.2, 0, 1e-5);
}

TEST(Gumbel, HardAndSoftShareTheGradientOfTheLogitsButNotOfTheCodes) {
  const auto z = wavy({2, 4, 3}).to(torch::kFloat).set_requires_grad(true);
  const auto upstream = wavy({2, 4, 2}, 0.9).to(torch::kFloat);
  struct Result {
    Tensor value, indices, z, bias, codes;
  };
  const auto run = [&](GumbelSample sample) {
    const auto gumbel = gumbel_of(6, 2, 0.7, sample);
    const auto out = QuantizerSteps().forward(*gumbel, z);
    const auto loss = (out.value * upstream).sum();
    const auto parameters = gumbel->named_parameters();
    const auto gradients = torch::autograd::grad({loss}, {z, *parameters.find("projection.bias"), *parameters.find("codes")});
    return Result{out.value, out.indices, gradients[0], gradients[1], gradients[2]};
  };
  const auto soft = run(GumbelSample::soft), hard = run(GumbelSample::hard);
  expect_equal(hard.indices, soft.indices);
  expect_close(hard.z, soft.z, 1e-5, 1e-7);
  expect_close(hard.bias, soft.bias, 1e-5, 1e-7);
  EXPECT_GT(soft.z.abs().min().item<double>(), 1e-4);
  EXPECT_GT((hard.codes - soft.codes).abs().max().item<double>(), 0.1);
  // Hard: each code gets what arrives at the tokens that drew it.
  expect_close(hard.codes, torch::zeros({6, 2}).index_add(0, hard.indices.flatten(), upstream.view({-1, 2})), 1e-5, 1e-6);
  EXPECT_FALSE(torch::allclose(hard.value, soft.value, 1e-3));
}

TEST(Gumbel, TheSoftGradientsMatchFiniteDifferences) {
  const auto gumbel = gumbel_of(5, 2, 0.7);
  gumbel->to(torch::kDouble);
  auto codes = *gumbel->named_parameters().find("codes");
  const auto run = [&](const Tensor& z) {
    QuantizerSteps steps(2);
    const auto out = steps.forward(*gumbel, z);
    return torch::cat({out.value.flatten(), out.terms[0].value});
  };
  expect_gradient_matches([&](const std::vector<Tensor>& inputs) { return run(inputs[0]); }, {wavy({1, 3, 3})});

  const auto weights = wavy({7}, 0.4);
  const auto gradient = gradient_of(run(wavy({1, 3, 3})) * weights, codes);
  const auto moved = wavy({5, 2}, 0.8);
  const auto along = [&](double step) {
    codes.data().add_(moved, step);
    const auto value = (run(wavy({1, 3, 3})) * weights).sum().item<double>();
    codes.data().sub_(moved, step);
    return value;
  };
  EXPECT_NEAR((gradient * moved).sum().item<double>(), (along(1e-5) - along(-1e-5)) / 2e-5, 1e-8);
}

TEST(Gumbel, EvaluationReadsTheLikeliestCodeWithoutNoise) {
  for (const auto sample : {GumbelSample::soft, GumbelSample::hard}) {
    const auto gumbel = gumbel_of(9, 4, 1, sample);
    const auto z = wavy({2, 3, 5, 3}).to(torch::kFloat);
    const auto out = QuantizerSteps(1).evaluate(*gumbel, z), again = QuantizerSteps(2).evaluate(*gumbel, z);
    expect_equal(out.value, again.value);
    expect_equal(out.value, gumbel->decode(out.indices));
    expect_equal(out.indices, gumbel->encode(z));
    expect_equal(out.indices, out.log_probs.argmax(-1));
    EXPECT_EQ(out.log_probs.sizes(), (Shape{2, 3, 5, 1, 9}));
    expect_close(out.log_probs.exp().sum(-1), 1.0, 1e-5);
  }
}

TEST(Gumbel, AHardDrawIsACodeBitForBit) {
  const auto gumbel = gumbel_of(9, 4, 0.3, GumbelSample::hard);
  const auto out = QuantizerSteps().forward(*gumbel, wavy({2, 7, 3}).to(torch::kFloat));
  expect_equal(out.value, gumbel->decode(out.indices));
}

TEST(Gumbel, TheKlIsOfTheCleanLogitsSummedOverTokensThatCount) {
  const auto gumbel = gumbel_of(6, 2, 0.7);
  const auto z = wavy({2, 4, 3}).to(torch::kFloat);
  const auto out = QuantizerSteps().forward(*gumbel, z);
  const auto each = kl_to_uniform(out.log_probs).squeeze(-1);
  expect_close(term_of(out, "kl").value, each.sum(1), 1e-5);
  EXPECT_EQ(term_of(out, "kl").elements, 4);
  expect_close(term_of(out, "kl").value, term_of(QuantizerSteps().evaluate(*gumbel, z), "kl").value, 1e-6);

  const auto mask = torch::tensor({1, 0, 1, 1, 0, 0, 1, 1}).view({2, 4}).to(torch::kBool);
  const auto masked = QuantizerSteps().forward(*gumbel, z, mask);
  expect_close(term_of(masked, "kl").value, (each * mask).sum(1), 1e-5);
  expect_equal(masked.indices.lt(0).squeeze(-1), mask.logical_not());
  expect_close(masked.value.index({mask.logical_not()}), 0.0);
}

TEST(Gumbel, NumbersThatAreScheduledAreRefilled) {
  QuantizerSteps steps;
  GumbelConfig config{.codes = 4, .code_size = 2};
  config.kl_weight.set("linear", LinearScheduleConfig{.from = 0, .to = 6, .steps = 10});
  const auto gumbel = make_gumbel(config, steps.context());
  const auto out = steps.forward(*gumbel, torch::zeros({1, 1, 2}));
  EXPECT_EQ(out.terms[0].weight.item<double>(), 0);
  for (auto& number : gumbel->scheduled()) number.refill({.step = 5});
  EXPECT_EQ(out.terms[0].weight.item<double>(), 3);
  EXPECT_EQ(gumbel->code_space().input_size, 2);
}

}  // namespace elbo::gumbel_test
