#include "elbo/quantizers/cvq.h"

#include <cmath>
#include <set>

#include "elbo/math/couples_batch.h"
#include "elbo/quantizers/vq.h"
#include "quantizer_steps.h"
#include "support/gradients.h"

namespace elbo::cvq_test {

std::shared_ptr<Quantizer> cvq_of(const Tensor& codes, CvqConfig config = {}) {
  QuantizerSteps steps;
  config.codes = codes.size(0);
  config.code_size = codes.size(1);
  auto cvq = make_cvq(config, steps.context());
  set(*cvq, "codes", codes);
  return cvq;
}

void learn(Quantizer& cvq, const Tensor& z, uint64_t seed = 1) {
  QuantizerSteps steps(seed);
  steps.forward(cvq, z);
  steps.after_step(cvq);
}

TEST(Cvq, ThePullOfACodeByItsUse) {
  const double V = 4;
  const auto pull = cvq_pull(values({0, 6.9e-4 / V, 1 / V, 1e-3 / V}), 0.99);
  EXPECT_NEAR(pull[0].item<double>(), 0.9990005, 1e-7);
  EXPECT_NEAR(pull[1].item<double>(), std::exp(-0.69 - 1e-3), 1e-12);
  EXPECT_LT(pull[1].item<double>(), 0.51);
  EXPECT_EQ(pull.to(torch::kFloat)[2].item<double>(), std::exp(-1000.0 - 1e-3));
  EXPECT_EQ(cvq_pull(floats({0.25, 0.25, 0.25, 0.25}, {4}), 0.99).max().item<double>(), 0);
  EXPECT_NEAR(pull[3].item<double>(), std::exp(-1.001), 1e-12);
}

TEST(Cvq, DeadCodesBecomeRandomTokensButForAThousandth) {
  auto codes = wavy({6, 2}).to(torch::kFloat) * 100 + 1000;
  codes[0].zero_();  // takes all tokens
  const auto cvq = cvq_of(codes);
  const auto z = wavy({20, 2}, 0.3).to(torch::kFloat);
  learn(*cvq, z);
  const double pull = std::exp(-1e-3);
  const auto anchors = (cvq->codebook().detach().to(torch::kDouble) - (1 - pull) * codes) / pull;
  std::set<int64_t> drawn;
  for (int64_t v = 1; v < 6; ++v) {
    const auto distance = (z - anchors[v]).norm(2, 1);
    EXPECT_LT(distance.min().item<double>(), 1e-3);
    drawn.insert(distance.argmin().item<int64_t>());
  }
  EXPECT_EQ(drawn.size(), 5u);                                    // without replacement
  expect_close(cvq->codebook().detach()[0], codes[0], 0, 1e-20);  // exp(-60): used by all tokens
}

TEST(Cvq, FewerTokensThanCodesFillThePoolOverSteps) {
  const auto codes = torch::full({50, 1}, 1e6);
  const auto cvq = cvq_of(codes, {.anchor = CvqAnchor::random});
  learn(*cvq, torch::ones({10, 1}));
  expect_equal(cvq->named_buffers()["pool"], torch::ones({50, 1}));
  learn(*cvq, torch::full({10, 1}, 2.0), 2);
  const auto pool = cvq->named_buffers()["pool"];
  EXPECT_EQ(pool.eq(2).sum().item<int64_t>(), 10);
  EXPECT_EQ(pool.eq(1).sum().item<int64_t>(), 40);
}

TEST(Cvq, TheClosestAnchorIsTheTokenNearestToTheCode) {
  const auto cvq = cvq_of(floats({0, 100, -100}, {3, 1}), {.anchor = CvqAnchor::closest});
  learn(*cvq, floats({-4, -1, 2, 7}, {4, 1}));
  const double pull = std::exp(-1e-3);
  expect_close(cvq->codebook().detach().flatten(), values({0, pull * 7 + (1 - pull) * 100, -pull * 4 - (1 - pull) * 100}), 1e-5,
               1e-9);
}

TEST(Cvq, TheClosestAnchorByCosineIsTheOneInItsDirection) {
  const auto cvq = cvq_of(floats({0, 5, 5, 0.1}, {2, 2}), {.anchor = CvqAnchor::closest, .metric = CodeMetric::cosine});
  const auto z = floats({-1, 9, 1, 3, 0.1, 3}, {3, 2});
  learn(*cvq, z);
  const double pull = std::exp(-1e-3);
  expect_close(cvq->codebook().detach()[1], pull * z[1] + (1 - pull) * floats({5, 0.1}, {2}), 1e-5);
}

TEST(Cvq, ProbableAnchorsFollowTheSoftmaxOverTokens) {
  // 4,000 dead codes at 3, two tokens at squared distances 1 and 2 from them: the nearer has 1 / (1 + e^-1).
  auto codes = torch::full({4001, 1}, 3.0);
  codes[0].fill_(1.9);
  const auto cvq = cvq_of(codes, {.anchor = CvqAnchor::probabilistic});
  learn(*cvq, floats({2, 3 - std::sqrt(2.0)}, {2, 1}));
  const auto anchors = (cvq->codebook().detach().narrow(0, 1, 4000) - 3e-3 * 0.9995) / 0.9990005;
  const double near = (anchors - 2).abs().lt(1e-2).to(torch::kDouble).mean().item<double>();
  const double far = (anchors - 3 + std::sqrt(2.0)).abs().lt(1e-2).to(torch::kDouble).mean().item<double>();
  EXPECT_NEAR(near, 1 / (1 + std::exp(-1.0)), 0.03);
  EXPECT_NEAR(near + far, 1, 1e-9);
}

TEST(Cvq, ProbabilitiesOfFarCodesDoNotVanish) {
  auto codes = torch::full({3, 1}, 1e4);
  codes[0].fill_(0);
  const auto cvq = cvq_of(codes, {.anchor = CvqAnchor::probabilistic});
  learn(*cvq, floats({1, 2, 3}, {3, 1}));
  expect_finite(cvq->codebook().detach());
  expect_close(cvq->codebook().detach()[1], values({3 * std::exp(-1e-3) + 1e4 * -std::expm1(-1e-3)}), 1e-3);  // the nearest
}

TEST(Cvq, EvenlyUsedCodesAreThoseOfVqBitForBit) {
  const auto codes = floats({0, 10, 20, 30}, {4, 1});
  const auto cvq = cvq_of(codes);
  set(*cvq, "use", torch::full({4}, 0.25));
  const auto z = codes + 0.5;
  for (int t = 0; t < 5; ++t) learn(*cvq, z);
  expect_equal(cvq->codebook().detach(), codes);
  expect_close(cvq->named_buffers()["use"], 0.25, 1e-6);
}

TEST(Cvq, UseIsTheAveragedShareOfTokens) {
  const auto cvq = cvq_of(floats({0, 10}, {2, 1}), {.decay = 0.9});
  learn(*cvq, floats({0, 1, 2, 9}, {4, 1}));
  expect_close(cvq->named_buffers()["use"], values({0.075, 0.025}), 1e-6);
}

TEST(Cvq, AtTheFirstStepAloneLaterOnesMoveNothing) {
  const auto cvq = cvq_of(floats({0, 1e3, 2e3}, {3, 1}), {.update = CvqUpdate::first_step});
  learn(*cvq, floats({0.5, 0.25}, {2, 1}));
  const auto first = cvq->codebook().detach().clone();
  EXPECT_LT(first.max().item<double>(), 3);
  set(*cvq, "use", torch::zeros({3}));
  learn(*cvq, floats({700, 800}, {2, 1}), 2);
  expect_equal(cvq->codebook().detach(), first);
}

TEST(Cvq, CodesChangeInPlaceAndOnlyAfterTheStep) {
  const auto cvq = cvq_of(floats({0, 1e3, 2e3}, {3, 1}));
  const auto* where = cvq->codebook().data_ptr();
  QuantizerSteps steps;
  const auto before = cvq->codebook().detach().clone();
  const auto z = floats({0.5, 0.25}, {2, 1}).set_requires_grad(true);
  weighted_loss(steps.forward(*cvq, z)).backward();
  steps.evaluate(*cvq, z);
  expect_equal(cvq->codebook().detach(), before);
  steps.after_step(*cvq);
  EXPECT_FALSE(cvq->codebook().detach().equal(before));
  EXPECT_EQ(cvq->codebook().data_ptr(), where);
}

TEST(Cvq, AnAnchorThatIsNotFiniteMovesNothing) {
  const auto codes = floats({0, 1e3}, {2, 1});
  const auto cvq = cvq_of(codes);
  learn(*cvq, floats({NAN, NAN, NAN}, {3, 1}));
  expect_equal(cvq->codebook().detach(), codes);
}

TEST(Cvq, TheContrastiveTermLeavesValuesAndIndicesAndMovesOnlyCodes) {
  const auto codes = wavy({5, 3}).to(torch::kFloat);
  const auto off = cvq_of(codes), on = cvq_of(codes, {.contrastive = true});
  const auto z = wavy({40, 3}, 0.4).to(torch::kFloat).set_requires_grad(true);
  QuantizerSteps steps;
  const auto without = steps.forward(*off, z), with = steps.forward(*on, z);
  expect_equal(with.value, without.value);
  expect_equal(with.indices, without.indices);
  EXPECT_FALSE(has_term(without, "contrastive"));
  const auto term = term_of(with, "contrastive").value;
  EXPECT_EQ(term.dim(), 0);
  EXPECT_FALSE(gradient_of(term, z).defined());
  EXPECT_GT(gradient_of(term, on->codebook()).abs().min().item<double>(), 0);
  EXPECT_EQ(dynamic_cast<CouplesBatch&>(*on).couples_batch_by(), "the contrastive term of cvq");
  EXPECT_EQ(dynamic_cast<CouplesBatch&>(*off).couples_batch_by(), "");
}

TEST(Cvq, TheContrastiveTermInNumbers) {
  // Code 0: minus squared distances 0, -1, -4, -9; positive the mean of the nearest 4 / 2, negatives the farther half.
  const auto tokens = values({0, 1, 2, 3}, {4, 1});
  const auto expected = [](double positive, double a, double b, double t) {
    return std::log(std::exp(positive / t) + std::exp(a / t) + std::exp(b / t)) - positive / t;
  };
  const double first = expected(-0.5, -4, -9, 2), second = expected(-0.5, -4, -9, 2);
  expect_close(cvq_contrast(tokens, values({0, 3}, {2, 1}), CodeMetric::euclidean, 2),
               torch::tensor((first + second) / 2, torch::kDouble), 1e-9);
  expect_gradient_matches(
      [&](const std::vector<Tensor>& codes) {
        return cvq_contrast(wavy({9, 2}), codes[0], CodeMetric::cosine, 0.5);
      },
      {wavy({3, 2}, 0.4)});
}

TEST(Cvq, LiveCodesLearnByTheCodebookTermOfVq) {
  const auto codes = wavy({5, 3}).to(torch::kFloat);
  const auto cvq = cvq_of(codes);
  QuantizerSteps steps;
  const auto vq = make_vq({.codes = 5, .code_size = 3}, steps.context());
  set(*vq, "codes", codes);
  const auto z = wavy({40, 3}, 0.4).to(torch::kFloat);
  const auto a = steps.forward(*cvq, z), b = steps.forward(*vq, z);
  expect_equal(torch::autograd::grad({weighted_loss(a)}, {cvq->codebook()})[0],
               torch::autograd::grad({weighted_loss(b)}, {vq->codebook()})[0]);
}

}  // namespace elbo::cvq_test
