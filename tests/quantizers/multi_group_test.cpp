#include "elbo/quantizers/multi_group.h"

#include <torch/nn/modules/linear.h>
#include <torch/optim/adam.h>

#include "elbo/base/error.h"
#include "elbo/math/init.h"
#include "quantizer_steps.h"
#include "support/gradients.h"

namespace elbo::multi_group_test {

std::shared_ptr<Quantizer> multi_group_of(const MultiGroupConfig& config) {
  QuantizerSteps steps;
  return make_multi_group(config, steps.context());
}
Tensor tokens(at::IntArrayRef shape, double phase = 0) { return (wavy(shape, phase) * 1.5).to(torch::kFloat); }
Tensor unit(const Tensor& x) { return x / x.norm(2, -1, true); }

MultiGroupConfig small(std::vector<double> masking = {}) {
  return {.groups = 3, .codes = 6, .code_size = 4, .masking = std::move(masking)};
}

TEST(MultiGroup, EachGroupTakesTheUnitCodeOfTheMostSimilarDirection) {
  const auto quantizer = multi_group_of(small());
  const auto z = tokens({2, 5, 12});
  const auto quantized = QuantizerSteps().forward(*quantizer, z);
  const auto u = unit(z.unflatten(-1, Shape{3, 4}));
  auto loss = torch::zeros({2});
  for (int64_t g = 0; g < 3; ++g) {
    const auto codes = quantizer->codebook(g);
    expect_close(codes.norm(2, -1), 1, 1e-6);
    expect_equal(quantized.indices.select(-1, g), torch::matmul(u.select(-2, g), codes.t()).argmax(-1));
    const auto code = torch::embedding(codes, quantized.indices.select(-1, g));
    expect_equal(quantized.value.narrow(-1, 4 * g, 4), code);
    loss = loss + (u.select(-2, g) - code).square().flatten(1).sum(1);
  }
  for (const auto* name : {"codebook", "commitment"}) {
    expect_close(term_of(quantized, name).value, loss, 1e-5);
    EXPECT_EQ(term_of(quantized, name).elements, 60);
  }
  expect_close(quantized.target, u.flatten(-2), 1e-6);
  const auto evaluated = QuantizerSteps().evaluate(*quantizer, z);
  expect_equal(evaluated.value, quantizer->decode(evaluated.indices));
  expect_equal(quantizer->encode(z * 7), evaluated.indices);
}

TEST(MultiGroup, TheLengthOfCodesDoesNotMatter) {
  const auto quantizer = multi_group_of(small());
  const auto z = tokens({2, 5, 12});
  const auto before = QuantizerSteps().forward(*quantizer, z);
  auto codes = quantizer->named_parameters()["codes"];
  codes.data().mul_(torch::arange(1, 7).view({1, 6, 1}));
  expect_equal(quantizer->encode(z), before.indices);
  expect_close(quantizer->decode(before.indices), before.value, 1e-6, 1e-7);
}

TEST(MultiGroup, TheGradientIsThatOfTheNormalisationOfEachGroup) {
  const auto quantizer = multi_group_of(small());
  const auto z = tokens({2, 5, 12}).set_requires_grad(true);
  const auto upstream = tokens({2, 5, 12}, 0.3);
  const auto quantized = QuantizerSteps().forward(*quantizer, z);
  const auto gradient = gradient_of(upstream * quantized.value, z).unflatten(-1, Shape{3, 4});
  const auto groups = z.detach().unflatten(-1, Shape{3, 4}), g = upstream.unflatten(-1, Shape{3, 4}), u = unit(groups);
  expect_close(gradient, (g - u * (u * g).sum(-1, true)) / groups.norm(2, -1, true), 1e-4, 1e-6);
  const auto codes = quantizer->named_parameters()["codes"];
  EXPECT_FALSE(gradient_of(upstream * quantized.value, codes).defined());
  EXPECT_FALSE(gradient_of(term_of(quantized, "codebook").value, z).defined());
  EXPECT_FALSE(gradient_of(term_of(quantized, "commitment").value, codes).defined());
  EXPECT_TRUE(gradient_of(term_of(quantized, "codebook").value, codes).abs().sum().gt(0).item<bool>());
}

TEST(MultiGroup, TheFirstGroupsDecodeLikeIndicesWhoseLastOnesAreLeftOut) {
  const auto quantizer = multi_group_of(small());
  const auto indices = quantizer->encode(tokens({2, 5, 12}));
  for (int64_t g = 1; g <= 3; ++g) {
    auto left_out = indices.clone();
    left_out.narrow(-1, g, 3 - g).fill_(-1);
    const auto value = quantizer->decode(indices.narrow(-1, 0, g));
    expect_equal(value, quantizer->decode(left_out));
    EXPECT_EQ(value.narrow(-1, 4 * g, 12 - 4 * g).abs().sum().item<double>(), 0);
    expect_equal(value.narrow(-1, 0, 4 * g), quantizer->decode(indices).narrow(-1, 0, 4 * g));
    expect_close(quantizer->code_length(left_out), static_cast<double>(5 * g) * std::log(6.0), 1e-5);
  }
}

TEST(MultiGroup, LaterGroupsAreLeftOutMoreOften) {
  const int64_t B = 20'000;
  const auto quantizer = multi_group_of({.groups = 5, .codes = 3, .code_size = 2});  // the fifth group as the fourth
  const auto z = tokens({B, 2, 10});
  const auto quantized = QuantizerSteps().forward(*quantizer, z);
  EXPECT_EQ(quantized.indices.sizes(), Shape({B, 2, 5}));
  const auto kept = quantized.indices.ge(0);
  expect_equal(kept.select(1, 0), kept.select(1, 1));
  const auto by_example = kept.select(1, 0).to(torch::kFloat);
  expect_close(by_example.mean(0), values({1, 0.8, 0.7, 0.6, 0.6}), 0, 0.015);
  EXPECT_TRUE(by_example.diff(1, 1).le(0).all().item<bool>());  // a prefix
  expect_equal(quantized.value, quantizer->decode(quantized.indices));
  const auto u = unit(z.unflatten(-1, Shape{5, 2}));
  const auto error = ((u - quantized.value.unflatten(-1, Shape{5, 2})).square().sum(-1) * kept).flatten(1).sum(1);
  expect_close(term_of(quantized, "commitment").value, error, 1e-4, 1e-5);
  EXPECT_TRUE(QuantizerSteps().evaluate(*quantizer, z.narrow(0, 0, 100)).indices.ge(0).all().item<bool>());

  const auto second_stage = multi_group_of({.groups = 5, .codes = 3, .code_size = 2, .masking_scale = scheduled_number(0)});
  EXPECT_TRUE(QuantizerSteps().forward(*second_stage, z).indices.ge(0).all().item<bool>());
}

TEST(MultiGroup, HasThePapersBits) {
  EXPECT_EQ(multi_group_of({})->code_space().bits_per_token(), 52);
  EXPECT_EQ(multi_group_of({.groups = 8, .codes = 2048, .code_size = 4})->code_space().bits_per_token(), 88);
  EXPECT_EQ(multi_group_of({})->code_space().input_size, 32);
}

TEST(MultiGroup, ProjectionsKeepGroupsApart) {
  auto config = small();
  config.projections = true;
  const auto quantizer = multi_group_of(config);
  const auto z = tokens({1, 12}).set_requires_grad(true);
  const auto value = QuantizerSteps().forward(*quantizer, z).value;
  for (int64_t out = 0; out < 12; ++out) {
    const auto row = gradient_of(value.select(1, out), z).flatten();
    for (int64_t in = 0; in < 12; ++in) EXPECT_EQ(row[in].item<double>() != 0, in / 4 == out / 4) << out << " " << in;
  }
  const auto evaluated = QuantizerSteps().evaluate(*quantizer, z);
  expect_equal(evaluated.value, quantizer->decode(evaluated.indices));
  const auto weight = quantizer->named_parameters()["output.weight"], bias = quantizer->named_parameters()["output.bias"];
  expect_close(evaluated.value[0].narrow(0, 4, 4),
               torch::matmul(quantizer->codebook(1)[evaluated.indices[0][1].item<int64_t>()], weight[1]) + bias[1], 1e-5, 1e-6);
}

TEST(MultiGroup, RareCodesAreDrawnToTokensUsedOnesStay) {
  auto config = MultiGroupConfig{.groups = 2, .codes = 4, .code_size = 2, .masking = {}};
  for (const auto anchor : {CvqAnchor::probabilistic, CvqAnchor::closest, CvqAnchor::random}) {
    config.anchor = anchor;
    const auto quantizer = multi_group_of(config);
    const auto codes = quantizer->named_parameters()["codes"];
    set(*quantizer, "codes", floats({3, 0, 0, 3, -3, 0, 0, -3, 3, 0, 0, 3, -3, 0, 0, -3}, {2, 4, 2}));
    set(*quantizer, "use", floats({1, 0, 0, 0, 0.25, 0.25, 0.25, 0.25}, {2, 4}));
    QuantizerSteps steps;
    // Group 0 only ever points to the first code; group 1 uses all four.
    const auto z = floats({2, 0.2, 1, 0, 2, 0.2, 0, 1, 2, 0.2, -1, 0, 2, 0.2, 0, -1}, {4, 4});
    steps.forward(*quantizer, z);
    const auto before = codes.detach().clone();
    steps.after_step(*quantizer);
    expect_equal(codes[1], before[1]);
    expect_equal(codes[0][0], before[0][0]);
    // Never used: (1 - a) e + a anchor with a = exp(-0.001) and the only token there is.
    const double a = std::exp(-0.001);
    const auto anchor_token = unit(floats({2, 0.2}, {2}));
    expect_close(codes[0].narrow(0, 1, 3), (1 - a) * unit(before[0].narrow(0, 1, 3)) + a * anchor_token, 1e-5, 1e-6);
    expect_close(quantizer->named_buffers()["use"], values({1, 0, 0, 0, 0.25, 0.25, 0.25, 0.25}, {2, 4}), 1e-6);
    const auto moved = codes.detach().clone();
    steps.after_step(*quantizer);  // nothing is pending
    expect_equal(codes, moved);
  }
}

TEST(MultiGroup, TokensThatDoNotCountAreNowhere) {
  const auto quantizer = multi_group_of(small());
  auto z = tokens({2, 3, 12});
  const auto alone = QuantizerSteps().forward(*quantizer, z.narrow(1, 0, 2));
  auto mask = torch::ones({2, 3}, torch::kBool);
  mask.select(1, 2).fill_(false);
  z.select(1, 2).fill_(NAN);
  z.set_requires_grad(true);
  QuantizerSteps steps;
  const auto quantized = steps.forward(*quantizer, z, mask);
  for (const auto* name : {"codebook", "commitment"}) {
    expect_close(term_of(quantized, name).value, term_of(alone, name).value, 1e-6);
  }
  EXPECT_TRUE(quantized.indices.select(1, 2).eq(-1).all().item<bool>());
  expect_equal(quantized.value, quantizer->decode(quantized.indices));
  expect_finite(gradient_of(weighted_loss(quantized) + quantized.value.sum(), z));
  steps.after_step(*quantizer);
  expect_finite(quantizer->named_parameters()["codes"]);
}

TEST(MultiGroup, RefusesProbabilitiesThatFall) {
  try {
    multi_group_of(small({0, 0.4, 0.3}));
    FAIL();
  } catch (const ConfigError& error) {
    EXPECT_STREQ(error.what(),
                 "quantizer multi_group: masking: probabilities must rise: where a group is left out, all later ones are");
  }
}

// A linear autoencoder trained with groups left out: each further group makes the reconstruction better.
TEST(SlowMultiGroup, EveryFurtherGroupLowersTheError) {
  QuantizerSteps steps;
  const auto quantizer = make_multi_group({.groups = 4, .codes = 32, .code_size = 2}, steps.context());
  const auto basis = steps.noise.normal({8}, {16});
  const auto draw = [&](int64_t n) { return torch::matmul(steps.noise.normal({n}, {8}), basis); };
  torch::nn::Linear encoder(16, 8), decoder(8, 16);
  init_module(*encoder, Init::pytorch, steps.init);
  init_module(*decoder, Init::pytorch, steps.init);
  auto parameters = quantizer->parameters();
  for (const auto& module : {encoder, decoder}) {
    for (const auto& parameter : module->parameters()) parameters.push_back(parameter);
  }
  torch::optim::Adam adam(parameters, torch::optim::AdamOptions(3e-3));
  for (int64_t i = 0; i < 1500; ++i) {
    const auto x = draw(256);
    auto step = steps.step();
    step.index = i;
    const auto quantized = quantizer->forward(encoder(x), step);
    adam.zero_grad();
    ((decoder(quantized.value) - x).square().sum(1).mean() + weighted_loss(quantized) / 256).backward();
    adam.step();
    const torch::NoGradGuard no_grad;
    quantizer->after_step(step);
  }
  const torch::NoGradGuard no_grad;
  const auto x = draw(4096);
  const auto indices = quantizer->encode(encoder(x));
  auto before = x.square().mean().item<double>();
  for (int64_t g = 1; g <= 4; ++g) {
    const auto error = (decoder(quantizer->decode(indices.narrow(-1, 0, g))) - x).square().mean().item<double>();
    EXPECT_LT(error, before) << g;
    ::testing::Test::RecordProperty("groups_" + std::to_string(g), std::to_string(error));
    before = error;
  }
}

}  // namespace elbo::multi_group_test
