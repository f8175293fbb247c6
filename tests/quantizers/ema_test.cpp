#include "elbo/quantizers/ema.h"

#include <cmath>

#include "quantizer_steps.h"
#include "support/gradients.h"

namespace elbo::ema_test {

/// Starts consistent: counts 1, sums the codes.
std::shared_ptr<Quantizer> ema_of(const Tensor& codes, EmaConfig config) {
  QuantizerSteps steps;
  config.codes = codes.size(0);
  config.code_size = codes.size(1);
  config.init = CodebookInit::normal;
  auto ema = make_ema(config, steps.context());
  set(*ema, "codes", codes);
  set(*ema, "sums", codes);
  return ema;
}

void learn(Quantizer& ema, const Tensor& z) {
  QuantizerSteps steps;
  steps.forward(ema, z);
  steps.after_step(ema);
}

Tensor buffer(Quantizer& ema, const std::string& name) { return ema.named_buffers()[name]; }

TEST(Ema, CountsAndSumsStartTogetherWithTheCodes) {
  QuantizerSteps steps;
  const auto ema = make_ema({.codes = 6, .code_size = 3, .init = CodebookInit::normal}, steps.context());
  expect_equal(buffer(*ema, "counts"), torch::ones({6}));
  expect_equal(buffer(*ema, "sums"), ema->codebook());
}

TEST(Ema, ABatchWhoseMeansAreTheCodesChangesNothing) {
  const auto codes = floats({-3, 1, 4, 2}, {2, 2});
  const auto ema = ema_of(codes, {.revival = 0});
  const auto offset = floats({0.5, -0.5}, {1, 2});
  const auto z = torch::cat({codes - offset, codes + offset, codes, codes});
  for (int i = 0; i < 20; ++i) learn(*ema, z);
  expect_close(ema->codebook(), codes, 2 * 1e-5);  // V epsilon / total
}

TEST(Ema, WithoutMemoryOneStepIsOneOfLloyd) {
  const auto ema = ema_of(floats({0, 10, 100}, {3, 1}), {.decay = 0, .epsilon = 0, .revival = 0});
  learn(*ema, floats({1, 2, 4, 9, 12}, {5, 1}));
  expect_close(ema->codebook().flatten(), values({7.0 / 3, 10.5, 100}), 1e-6);  // the last is nearest to nothing
}

TEST(Ema, AConstantBatchInClosedForm) {
  const double g = 0.99, start = 2, token = 5, per_step = 3;
  const auto ema = ema_of(floats({start}, {1, 1}), {.decay = g, .revival = 0});
  for (int t = 1; t <= 50; ++t) {
    learn(*ema, torch::full({3, 1}, token));
    const double kept = std::pow(g, t);
    const double expected = (kept * start + (1 - kept) * per_step * token) / (kept + (1 - kept) * per_step);
    expect_close(ema->codebook(), torch::full({1, 1}, expected), 1e-5);
  }
}

TEST(Ema, ACodeThatNoTokenChoosesStays) {
  const auto codes = floats({0, 0, 50, -70}, {2, 2});
  const auto ema = ema_of(codes, {.revival = 0});
  for (int t = 0; t < 500; ++t) learn(*ema, floats({0.1, -0.1, -0.1, 0.1}, {2, 2}));
  // In 500 steps its count falls to 0.0066 of 1, smoothing takes epsilon / count of it.
  expect_close(ema->codebook()[1], codes[1], 2e-3);
  QuantizerSteps steps;
  const auto early = ema_of(codes, {.revival = 0});
  for (int t = 0; t < 100; ++t) learn(*early, floats({0.1, -0.1, -0.1, 0.1}, {2, 2}));
  expect_close(early->codebook()[1], codes[1], 1e-4);
}

TEST(Ema, WithoutRevivalSmoothingPullsACodeToZeroWhereItsCountIsEpsilon) {
  const double epsilon = 1e-5, start = 50;
  const auto ema = ema_of(floats({0, start}, {2, 1}), {.epsilon = epsilon, .revival = 0});
  set(*ema, "counts", floats({16, epsilon / 0.99}, {2}));
  set(*ema, "sums", floats({0, start * epsilon / 0.99}, {2, 1}));
  learn(*ema, torch::full({16, 1}, 0.1));
  EXPECT_NEAR(ema->codebook()[1].item<double>(), start / 2, 1e-3 * start);
}

TEST(Ema, SmoothingKeepsTheTotal) {
  const auto ema = ema_of(floats({0, 100}, {2, 1}), {.decay = 0.5, .epsilon = 1, .revival = 0});
  learn(*ema, floats({1, 3, 5, 7}, {4, 1}));
  // counts (1 + 4) / 2 and 1/2, sums 8 and 50; smoothed 3 (2.5 + 1) / 5 and 3 (0.5 + 1) / 5.
  expect_close(ema->codebook().flatten(), values({8 / 2.1, 50 / 0.9}), 1e-6);
  expect_close(buffer(*ema, "counts"), values({2.5, 0.5}), 1e-6);
}

TEST(Ema, TheForwardPassUsesTheCodesBeforeTheUpdate) {
  const auto ema = ema_of(floats({0}, {1, 1}), {.decay = 0});
  QuantizerSteps steps;
  const auto quantized = steps.forward(*ema, floats({4}, {1, 1}));
  EXPECT_EQ(quantized.value.item<double>(), 0);
  EXPECT_EQ(ema->codebook().item<double>(), 0);
  steps.after_step(*ema);
  EXPECT_NEAR(ema->codebook().item<double>(), 4, 1e-4);
}

TEST(Ema, FourPartsOfABatchAreTheBatchBitForBit) {
  const auto codes = wavy({7, 5}).to(torch::kFloat);
  const auto z = wavy({128, 3, 5}, 0.4).to(torch::kFloat);
  const auto whole = ema_of(codes, {.revival = 0.3}), parts = ema_of(codes, {.revival = 0.3});
  learn(*whole, z);
  QuantizerSteps steps;
  for (const auto& part : z.split(32)) steps.forward(*parts, part);
  steps.after_step(*parts);
  for (const auto* name : {"codes", "counts", "sums"}) expect_equal(buffer(*parts, name), buffer(*whole, name));
  const auto before = buffer(*whole, "counts").clone();
  steps.after_step(*parts);  // nothing is left
  expect_equal(buffer(*parts, "counts"), before);
}

TEST(Ema, EvaluationAndForwardPassesAloneChangeNothing) {
  const auto ema = ema_of(wavy({7, 5}).to(torch::kFloat), {});
  const auto z = wavy({16, 5}, 0.4).to(torch::kFloat);
  QuantizerSteps steps;
  std::vector<Tensor> before;
  for (const auto& entry : ema->buffers()) before.push_back(entry.clone());
  for (int i = 0; i < 3; ++i) steps.evaluate(*ema, z);
  steps.after_step(*ema);
  for (int i = 0; i < 3; ++i) steps.forward(*ema, z);
  for (size_t i = 0; i < before.size(); ++i) expect_equal(ema->buffers()[i], before[i]);
}

TEST(Ema, TokensOfAStepThatWasGivenUpAreForgotten) {
  const auto ema = ema_of(floats({0}, {1, 1}), {.decay = 0});
  QuantizerSteps steps;
  auto first = steps.step();
  ema->forward(floats({NAN}, {1, 1}), first);
  auto second = steps.step();
  second.index = 1;
  ema->forward(floats({4}, {1, 1}), second);
  steps.after_step(*ema);
  EXPECT_NEAR(ema->codebook().item<double>(), 4, 1e-4);
}

TEST(Ema, ATokenLeftOutIsNotLearntFrom) {
  const auto ema = ema_of(floats({0}, {1, 1}), {.decay = 0});
  QuantizerSteps steps;
  steps.forward(*ema, floats({4, 1000}, {2, 1}), torch::tensor({1, 0}).to(torch::kBool));
  steps.after_step(*ema);
  EXPECT_NEAR(ema->codebook().item<double>(), 4, 1e-4);
}

TEST(Ema, ADeadCodeBecomesATokenOfTheBatchWithTheCountOfEvenUse) {
  const auto ema = ema_of(floats({0, 1, 1000}, {3, 1}), {.decay = 0.5, .revival = 0.5});
  set(*ema, "counts", floats({2, 2, 0.4}, {3}));
  set(*ema, "sums", floats({0, 2, 400}, {3, 1}));
  const auto z = floats({0.25, 0.75, 1.25, -0.25}, {4, 1});
  learn(*ema, z);
  // counts 2, 2 and 0.2: even use is 1.4, the threshold 0.7.
  const auto code = ema->codebook()[2].item<double>();
  EXPECT_TRUE((z == code).any().item<bool>()) << code;
  expect_close(buffer(*ema, "counts"), values({2, 2, 1.4}), 1e-6);
  expect_close(buffer(*ema, "sums")[2], 1.4 * code, 1e-6);
  expect_close(ema->codebook().narrow(0, 0, 2).flatten(), values({0, 1 / 2.0 + 0.5}), 1e-4, 1e-4);
}

TEST(Ema, WithoutRevivalADeadCodeStaysDead) {
  const auto ema = ema_of(floats({0, 1000}, {2, 1}), {.decay = 0.5, .revival = 0});
  for (int t = 0; t < 10; ++t) learn(*ema, floats({0.1, -0.1}, {2, 1}));
  EXPECT_GT(ema->codebook()[1].item<double>(), 900);
  QuantizerSteps steps;
  EXPECT_TRUE(steps.forward(*ema, floats({0}, {1, 1})).readings.empty());
}

TEST(Ema, KMeansGivesCodesCountsAndSumsThatBelongTogether) {
  QuantizerSteps steps;
  const auto ema = make_ema({.codes = 2, .code_size = 1}, steps.context());
  steps.initialise(*ema, floats({0, 1, 2, 10, 12}, {5, 1}));
  const auto order = std::get<1>(ema->codebook().flatten().sort());
  expect_close(ema->codebook().flatten().index_select(0, order), values({1, 11}), 1e-6);
  expect_close(buffer(*ema, "counts").index_select(0, order), values({3, 2}), 0);
  expect_close(buffer(*ema, "sums"), buffer(*ema, "counts").unsqueeze(1) * ema->codebook(), 1e-6);
}

TEST(Ema, OnlyTheCommitmentTermIsLeftAndNothingIsLearntByGradient) {
  const auto ema = ema_of(floats({0, 10}, {2, 1}), {.commitment = scheduled_number(1)});
  EXPECT_TRUE(ema->parameters().empty());
  const auto z = floats({3, 8}, {2, 1}).set_requires_grad(true);
  const auto quantized = QuantizerSteps().forward(*ema, z);
  EXPECT_EQ(quantized.terms.size(), 1u);
  expect_close(term_of(quantized, "commitment").value, values({9, 4}), 0);
  expect_close(gradient_of(weighted_loss(quantized), z).flatten(), values({6, -4}), 0);
}

TEST(Ema, TheShareOfDeadCodesIsRead) {
  const auto ema = ema_of(floats({0, 10, 20, 30}, {4, 1}), {.revival = 0.1});
  set(*ema, "counts", floats({0.01, 2, 2, 0.05}, {4}));
  expect_close(reading_of(QuantizerSteps().forward(*ema, floats({3}, {1, 1})), "dead"), 0.5);
}

TEST(Ema, SavedStateContinuesBitForBit) {
  const auto codes = wavy({7, 5}).to(torch::kFloat);
  const auto first = ema_of(codes, {}), second = ema_of(codes + 1, {});
  for (int t = 0; t < 3; ++t) learn(*first, wavy({16, 5}, t).to(torch::kFloat));
  for (const auto& entry : first->named_buffers()) set(*second, entry.key(), entry.value());
  for (const auto& ema : {first, second}) learn(*ema, wavy({16, 5}, 9).to(torch::kFloat));
  expect_equal(second->codebook(), first->codebook());
}

}  // namespace elbo::ema_test
