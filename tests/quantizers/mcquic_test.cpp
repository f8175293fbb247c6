#include "elbo/quantizers/mcquic.h"

#include <torch/autograd.h>

#include <cmath>
#include <set>

#include "elbo/quantizers/gumbel.h"
#include "quantizers/quantizer_steps.h"

namespace elbo::mcquic_test {

McquicQuantizerConfig small(int64_t codes = 5) {
  return {.codes = codes, .code_size = 6, .groups = 2, .random_drop = false, .reassign_every = 0};
}

std::shared_ptr<Quantizer> made(QuantizerSteps& steps, const McquicQuantizerConfig& config = small()) {
  auto quantizer = make_mcquic_quantizer(config, steps.context());
  for (auto& number : quantizer->scheduled()) number.refill({.step = 0, .steps_per_epoch = 1, .total_steps = 1});
  return quantizer;
}

Tensor tokens(int64_t n) { return wavy({3, n, 6}, 0.2).to(torch::kFloat); }

/// The nearest code of each group, by all distances in float64.
Tensor nearest(Quantizer& quantizer, const Tensor& z) {
  std::vector<Tensor> groups;
  for (int64_t g = 0; g < 2; ++g) {
    const auto y = z.narrow(-1, 3 * g, 3).to(torch::kDouble), codes = quantizer.codebook(g).detach().to(torch::kDouble);
    groups.push_back((y.unsqueeze(-2) - codes).square().sum(-1).argmin(-1));
  }
  return torch::stack(groups, -1);
}

TEST(McquicQuantizer, EvaluationTakesTheNearestComponentOfEachGroup) {
  QuantizerSteps steps;
  const auto quantizer = made(steps);
  const auto z = tokens(50);
  const auto out = steps.evaluate(*quantizer, z);
  expect_equal(out.indices, nearest(*quantizer, z));
  expect_equal(quantizer->encode(z), out.indices);
  expect_equal(out.value, quantizer->decode(out.indices));
  EXPECT_EQ(quantizer->code_space().sizes, (std::vector<int64_t>{5, 5}));
  EXPECT_TRUE(out.terms.empty());
}

TEST(McquicQuantizer, CodesStartFromTheirPublishedNormal) {
  QuantizerSteps steps;
  const auto quantizer = made(steps, {.codes = 4096, .code_size = 32, .groups = 2});
  const auto codes = quantizer->named_parameters()["codes"];
  EXPECT_EQ(codes.sizes(), Shape({2, 4096, 16}));
  EXPECT_NEAR(codes.std().item<double>(), std::sqrt(2.0 / (5 * 16)), 2e-3);
}

// The draw is softmax(-|y - c|^2 / sqrt V * temperature), and no temperature of the relaxation changes it.
TEST(McquicQuantizer, TrainingDrawsCodesByTheirProbabilities) {
  constexpr int64_t kDraws = 20'000;
  QuantizerSteps steps;
  auto config = small();
  const auto quantizer = made(steps, config);
  const auto temperature = torch::tensor({1.5, 0.7}, torch::kFloat);
  set(*quantizer, "temperature", temperature);
  set(*quantizer, "codes", 0.8 * wavy({2, 5, 3}, 0.5));
  const auto z = tokens(1).narrow(0, 0, 1).expand({1, kDraws, 6});
  const auto drawn = steps.forward(*quantizer, z).indices;
  for (int64_t g = 0; g < 2; ++g) {
    const auto y = z[0][0].narrow(0, 3 * g, 3);
    const auto squared = (y - quantizer->codebook(g).detach()).square().sum(1);
    const auto expected = (-squared / std::sqrt(5) * temperature[g]).softmax(0);
    const auto frequency = torch::bincount(drawn.select(-1, g).flatten(), {}, 5).to(torch::kFloat) / kDraws;
    expect_close(frequency, expected, 0, 4 * 0.5 / std::sqrt(kDraws));
    EXPECT_GT(expected.min().item<double>(), 0.01) << "every code counts in this test";
    EXPECT_LT(expected.max().item<double>(), 0.6);
  }
  config.temperature = scheduled_number(0.05);
  QuantizerSteps again;
  const auto sharper = made(again, config);
  set(*sharper, "temperature", temperature);
  set(*sharper, "codes", 0.8 * wavy({2, 5, 3}, 0.5));
  expect_equal(again.forward(*sharper, z).indices, drawn);
}

// The value is the drawn code; its gradient is that of the relaxed draw with the same noise.
TEST(McquicQuantizer, HardDrawsHaveTheSoftOnesGradient) {
  QuantizerSteps steps, same;
  auto config = small();
  config.temperature = scheduled_number(0.8);
  const auto quantizer = made(steps, config);
  auto z = tokens(4).requires_grad_();
  const auto out = steps.forward(*quantizer, z);
  expect_close(out.value, quantizer->decode(out.indices), 1e-6, 1e-7);
  const auto g = wavy(out.value.sizes(), 0.9).to(torch::kFloat);
  (out.value * g).sum().backward();

  const auto codes = quantizer->named_parameters()["codes"].detach().clone().requires_grad_();
  const auto temperature = quantizer->named_parameters()["temperature"].detach().clone().requires_grad_();
  const auto y = z.detach().clone().requires_grad_();
  std::vector<Tensor> soft;
  for (int64_t i = 0; i < 2; ++i) {
    const auto rows = y.narrow(-1, 3 * i, 3).reshape({-1, 1, 3});
    const auto logits = -(rows - codes[i]).square().sum(-1) / std::sqrt(5) * temperature[i];
    const auto perturbed = add_gumbel(logits, same.noise.uniform({1, 3}, {4, 5}).reshape({-1, 5}));
    soft.push_back((perturbed / 0.8).softmax(1).matmul(codes[i]).reshape({3, 4, 3}));
  }
  (torch::cat(soft, -1) * g).sum().backward();
  expect_close(z.grad(), y.grad(), 1e-4, 1e-6);
  expect_close(quantizer->named_parameters()["temperature"].grad(), temperature.grad(), 1e-4, 1e-6);
  EXPECT_GT(quantizer->named_parameters()["codes"].grad().abs().max().item<double>(), 0);
}

TEST(McquicQuantizer, DropsWhatIsUsedMostInTrainingOnly) {
  QuantizerSteps steps;
  auto config = small();
  config.random_drop = true;
  const auto quantizer = made(steps, config);
  set(*quantizer, "codes", 5 * wavy({2, 5, 3}));
  const auto at_one = torch::cat({quantizer->codebook(0)[1], quantizer->codebook(1)[1]}).detach().expand({1, 200, 6});
  set(*quantizer, "use", floats({0, 1, 0, 0, 0, 0, 1, 0, 0, 0}, {2, 5}));
  EXPECT_TRUE(steps.forward(*quantizer, at_one).indices.ne(1).all().item<bool>());
  EXPECT_TRUE(steps.evaluate(*quantizer, at_one).indices.eq(1).all().item<bool>());
  // Even use drops each code rarely: with all codes in use by the code's share, a fifth.
  set(*quantizer, "use", torch::full({2, 5}, 0.2));
  const auto kept = steps.forward(*quantizer, at_one).indices.eq(1).to(torch::kFloat).mean().item<double>();
  EXPECT_NEAR(kept, 0.8, 0.1);
}

TEST(McquicQuantizer, CountsUseAfterTheStep) {
  QuantizerSteps steps;
  const auto quantizer = made(steps);
  const auto z = tokens(10);
  const auto indices = steps.forward(*quantizer, z).indices;
  steps.evaluate(*quantizer, z);
  expect_equal(quantizer->named_buffers()["use"], torch::full({2, 5}, 0.2f));
  steps.after_step(*quantizer);
  for (int64_t g = 0; g < 2; ++g) {
    const auto share = torch::bincount(indices.select(-1, g).flatten(), {}, 5).to(torch::kFloat) / 30;
    expect_close(quantizer->named_buffers()["use"][g], 0.9 * 0.2 + 0.1 * share, 1e-5);
    expect_close(quantizer->named_buffers()["drawn"][g], 30 * share, 1e-5);
  }
}

TEST(McquicQuantizer, CodesThatNobodyDrawsTakeThePlaceOfDrawnOnes) {
  const auto drawn = floats({5, 0, 3, 0, 0, 2, 0, 0}, {8});
  Stream stream(1, "model", at::kCPU);
  const auto chosen = mcquic_reassignment(drawn, stream);
  ASSERT_EQ(chosen.to.size(0), 3);  // five never, three have been drawn
  std::set<int64_t> to, from;
  for (int64_t i = 0; i < 3; ++i) {
    to.insert(chosen.to[i].item<int64_t>());
    from.insert(chosen.from[i].item<int64_t>());
    EXPECT_EQ(drawn[chosen.to[i]].item<float>(), 0);
  }
  EXPECT_EQ(to.size(), 3U);
  EXPECT_EQ(from, (std::set<int64_t>{0, 2, 5}));
  EXPECT_EQ(mcquic_reassignment(floats({1, 1, 1, 0, 1, 1, 1, 1}, {8}), stream).to.size(0), 1);
  EXPECT_EQ(mcquic_reassignment(torch::ones({8}), stream).to.size(0), 0);
  EXPECT_EQ(mcquic_reassignment(floats({1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0}, {14}), stream).to.size(0), 6);
}

TEST(McquicQuantizer, ReassignsEveryFewSteps) {
  QuantizerSteps steps;
  auto config = small();
  config.reassign_every = 2;
  const auto quantizer = made(steps, config);
  set(*quantizer, "codes", 50 * wavy({2, 5, 3}));  // so far apart that draws are the nearest
  const auto z = torch::cat({quantizer->codebook(0)[4], quantizer->codebook(1)[4]}).detach().expand({1, 8, 6});
  const auto before = quantizer->codebook(0).detach().clone();
  const auto train = [&](int64_t index) {
    auto step = steps.step();
    step.index = index;
    quantizer->forward(z, step);
    const torch::NoGradGuard no_grad;
    quantizer->after_step(step);
  };
  train(0);
  expect_equal(quantizer->codebook(0).detach(), before);
  train(1);
  const auto moved = quantizer->codebook(0).detach().ne(before).any(1).nonzero().squeeze(1);
  ASSERT_EQ(moved.size(0), 1);  // one code has been drawn, so one takes its place
  expect_equal(quantizer->codebook(0)[moved[0].item<int64_t>()].detach(), before[4]);
  expect_equal(quantizer->named_buffers()["drawn"], torch::zeros({2, 5}));
}

// Pairs of directions: of the first group 0, 1 / sqrt 2 and 1 / sqrt 2, of the second -1 (nothing) and twice 0.
TEST(McquicQuantizer, CosinesOfCodesAreMeansOverPairs) {
  const auto codes = values({3, 0, 0, 2, 5, 5, 1, 0, -4, 0, 0, 7}, {2, 3, 2}).requires_grad_();
  const auto cosine = mcquic_cosine(codes);
  EXPECT_NEAR(cosine.item<double>(), 2 / std::sqrt(2) / 3, 1e-12);
  cosine.backward();
  expect_close(codes.grad()[1], torch::zeros({3, 2}), 0, 0);
  expect_close((codes.grad() * codes.detach()).sum(-1), torch::zeros({2, 3}), 0, 1e-12);  // lengths don't matter
  EXPECT_EQ(mcquic_cosine(torch::ones({2, 1, 4})).item<double>(), 0);
  expect_finite(mcquic_cosine(torch::zeros({1, 3, 4})));
}

TEST(McquicQuantizer, CosinesAreATermWhereAsked) {
  QuantizerSteps steps;
  auto config = small();
  config.cosine_weight = 0.5;
  const auto quantizer = made(steps, config);
  const auto out = steps.forward(*quantizer, tokens(10));
  ASSERT_EQ(out.terms.size(), 1U);
  EXPECT_EQ(out.terms[0].name, "codebook_cosine");
  expect_equal(out.terms[0].value, mcquic_cosine(quantizer->named_parameters()["codes"]).expand({3}));  // an example's, once
  EXPECT_EQ(out.terms[0].weight.item<double>(), 0.5);
  QuantizerSteps plain;
  EXPECT_TRUE(plain.forward(*made(plain), tokens(10)).terms.empty());
}

}  // namespace elbo::mcquic_test
