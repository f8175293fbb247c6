#include "elbo/quantizers/soft_ema.h"

#include <cmath>

#include "quantizers/quantizer_steps.h"

namespace elbo::soft_ema_test {

struct SoftBench {
  explicit SoftBench(SoftEmaConfig config = {.codes = 6, .code_size = 3, .decay = 0}) {
    made = make_soft_ema(config, steps.context());
    refill(0);
    z = steps.noise.normal({4, 5}, {3});
  }
  void refill(int64_t step) {
    for (auto& number : made->scheduled()) number.refill({.step = step, .steps_per_epoch = 10, .total_steps = 10'000});
  }
  Tensor codes() const { return made->codebook(0); }
  /// By the definition.
  Tensor choice(double temperature) const {
    const auto rows = z.reshape({-1, 3}).to(torch::kDouble);
    return (-(rows.unsqueeze(1) - codes().to(torch::kDouble)).square().sum(2) / temperature).softmax(1);
  }

  QuantizerSteps steps;
  std::shared_ptr<Quantizer> made;
  Tensor z;
};

TEST(SoftEma, TrainingReadsTheMeanOfTheCodesByTheirSoftmax) {
  SoftBench bench;
  const auto out = bench.steps.forward(*bench.made, bench.z);
  expect_close(out.value.reshape({-1, 3}), bench.choice(1).mm(bench.codes().to(torch::kDouble)), 1e-4, 1e-5);
  expect_equal(out.indices, bench.made->encode(bench.z));
  const auto evaluated = bench.steps.evaluate(*bench.made, bench.z);
  expect_equal(evaluated.value, bench.made->decode(evaluated.indices));
}

TEST(SoftEma, CodesBecomeTheMeansOfTheTokensByTheirShares) {
  SoftBench bench({.codes = 6, .code_size = 3, .decay = 0, .epsilon = 0});
  bench.steps.forward(*bench.made, bench.z);
  const auto p = bench.choice(1);
  const auto expected = p.t().mm(bench.z.reshape({-1, 3}).to(torch::kDouble)) / p.sum(0).unsqueeze(1);
  bench.steps.after_step(*bench.made);
  expect_close(bench.codes(), expected, 1e-4, 1e-5);
}

TEST(SoftEma, ATokenLeftOutMovesNothing) {
  SoftBench bench({.codes = 6, .code_size = 3, .decay = 0.5}), other({.codes = 6, .code_size = 3, .decay = 0.5});
  auto mask = torch::ones({4, 5}, torch::kBool);
  mask[1][2] = false;
  bench.steps.forward(*bench.made, bench.z, mask);
  auto changed = bench.z.clone();
  changed[1][2].fill_(NAN);
  const auto out = other.steps.forward(*other.made, changed, mask);
  EXPECT_TRUE(out.value.isfinite().all().item<bool>());
  bench.steps.after_step(*bench.made);
  other.steps.after_step(*other.made);
  expect_equal(other.codes(), bench.codes());
}

// The reference minimises the entropy of the batch's choices: codes then die. Ours grows with unevenness.
TEST(SoftEma, DiversityIsZeroForEvenUseAndPushesTokensApart) {
  SoftBench bench({.codes = 2, .code_size = 3, .decay = 0});
  const auto codes = bench.codes();
  const auto even = torch::stack({codes[0], codes[1]}).unsqueeze(0);
  const auto uneven = torch::stack({codes[0], codes[0]}).unsqueeze(0).requires_grad_();
  EXPECT_NEAR(term_of(bench.steps.forward(*bench.made, even), "diversity").value.item<double>(), 0, 1e-6);
  const auto term = term_of(bench.steps.forward(*bench.made, uneven), "diversity");
  EXPECT_GT(term.value.item<double>(), 1e-3);
  EXPECT_EQ(term.value.dim(), 0);
  term.value.backward();
  const auto towards = (codes[1] - codes[0]).unsqueeze(0);
  EXPECT_TRUE((uneven.grad()[0] * towards).sum(1).lt(0).all().item<bool>());  // descending goes to the unused code
}

TEST(SoftEma, ALowTemperatureIsTheNearestCode) {
  SoftEmaConfig config{.codes = 6, .code_size = 3};
  config.temperature = scheduled_number(1e-3);
  SoftBench bench(config);
  const auto out = bench.steps.forward(*bench.made, bench.z);
  const auto nearest = bench.made->decode(out.indices);
  EXPECT_GT((out.value - nearest).abs().lt(1e-3).to(torch::kDouble).mean().item<double>(), 0.9);
}

TEST(SoftEma, StartsFromOrthonormalCodes) {
  SoftBench many({.codes = 8, .code_size = 3}), few({.codes = 2, .code_size = 3});
  expect_close(many.codes().t().mm(many.codes()), torch::eye(3), 0, 1e-6);
  expect_close(few.codes().mm(few.codes().t()), torch::eye(2), 0, 1e-6);
}

}  // namespace elbo::soft_ema_test
