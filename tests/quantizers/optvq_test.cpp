#include "elbo/quantizers/optvq.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "elbo/math/couples_batch.h"
#include "elbo/quantizers/sinkhorn.h"
#include "quantizer_steps.h"
#include "support/gradients.h"

namespace elbo::optvq_test {

constexpr SinkhornStop kConverged{.iterations = 10000, .tolerance = 1e-9};

Tensor plan_of(const Tensor& log_kernel_matrix, const SinkhornStop& stop = kConverged) {
  const auto scalings = sinkhorn(log_kernel(log_kernel_matrix), stop);
  return (scalings.rows.unsqueeze(1) + log_kernel_matrix + scalings.columns).exp();
}

TEST(Sinkhorn, MassIsEvenOverRowsAndColumns) {
  const auto plan = plan_of(-10 * wavy({12, 5}).abs(), {.iterations = 1000, .tolerance = 1e-5});
  expect_close(plan.sum(1), 1.0 / 12, 1e-12);
  expect_close(plan.sum(0), 0.2, 1e-4);
}

TEST(Sinkhorn, WithoutSharpnessThePlanIsUniform) { expect_close(plan_of(-1e-9 * wavy({6, 4}).abs()), 1.0 / 24, 1e-8); }

TEST(Sinkhorn, SharpPlansOfSquareCostsAreTheBestPermutation) {
  for (int64_t n = 2; n <= 6; ++n) {
    const auto cost = (wavy({n, n}, 0.37 * static_cast<double>(n)) * 37.7).sin().abs();
    std::vector<int64_t> order(static_cast<size_t>(n));
    std::iota(order.begin(), order.end(), 0);
    auto best = order;
    double least = 1e9;
    do {
      double total = 0;
      for (int64_t i = 0; i < n; ++i) total += cost[i][order[static_cast<size_t>(i)]].item<double>();
      if (total < least) least = total, best = order;
    } while (std::next_permutation(order.begin(), order.end()));
    expect_equal(plan_of(-200 * cost, {.iterations = 3000, .tolerance = 1e-6}).argmax(1), torch::tensor(best));
  }
}

TEST(Sinkhorn, AnyNumberAddedToARowLeavesAConvergedPlan) {
  const auto kernel = -5 * wavy({7, 4}).abs();
  expect_close(plan_of(kernel + 30 * wavy({7, 1}, 0.6)), plan_of(kernel), 1e-5);
}

TEST(Sinkhorn, CodesFarFromEverythingStillGetTheirMass) {
  const auto kernel = torch::cat({wavy({6, 2}), torch::full({6, 1}, -5000.0)}, 1).to(torch::kFloat);
  expect_close(plan_of(kernel, {.iterations = 200, .tolerance = 1e-4}).sum(0), 1.0 / 3, 2e-3);
}

TEST(Sinkhorn, BlocksGiveThePlanOfTheWhole) {
  const auto matrix = -10 * wavy({13, 5}).abs();
  auto kernel = log_kernel(matrix);
  kernel.rows_at_once = 4;
  const auto parts = sinkhorn(kernel, {}), whole = sinkhorn(log_kernel(matrix), {});
  expect_close(parts.columns, whole.columns, 1e-12);
  expect_close(parts.rows, whole.rows, 1e-12);
}

const CodeTransport kUnscaled{.sharpness = 50, .normalize = false, .stop = kConverged};

TEST(Sinkhorn, PointsOnALineAreSpreadOverBothCodes) {
  const auto points = values({0, 0.1, 0.3, 10}, {4, 1}), codes = values({0.1, 5}, {2, 1});
  expect_equal(nearest_code(points, codes).index, torch::tensor({0, 0, 0, 1}));
  expect_equal(transported_codes(points, codes, kUnscaled), torch::tensor({0, 0, 1, 1}));
}

TEST(Sinkhorn, NormalizedDistancesHaveNoUnit) {
  const auto z = wavy({60, 3}, 0.4), codes = wavy({9, 3});
  const auto chosen = transported_codes(z, codes, {});
  for (const double scale : {1e-3, 7.0, 1e4}) expect_equal(transported_codes(z * scale, codes * scale, {}), chosen);
  EXPECT_FALSE(
      transported_codes(z * 7, codes * 7, {.normalize = false}).equal(transported_codes(z, codes, {.normalize = false})));
}

TEST(Sinkhorn, NormalizedPlansAreThoseOfStandardizedDistances) {
  const auto z = wavy({60, 3}, 0.4), codes = wavy({9, 3});
  const auto distance = torch::cdist(z, codes);
  const auto standard = (distance - distance.mean()) / distance.std();
  const auto expected = plan_of(-10 * (standard - standard.min()), {.iterations = 5}).argmax(1);
  expect_equal(transported_codes(z, codes, {}), expected);
  EXPECT_FALSE(nearest_code(z, codes).index.equal(expected));
}

TEST(Sinkhorn, WithoutRoomForTheDistancesTheCodesAreTheSame) {
  const auto z = wavy({3200, 3}, 0.4).to(torch::kFloat), codes = wavy({700, 3}).to(torch::kFloat);  // two blocks
  expect_equal(transported_codes(z, codes, {.bytes = 0}), transported_codes(z, codes, {}));
}

TEST(Sinkhorn, DrawnCodesFollowTheRowOfThePlan) {
  const auto codes = values({0, 1}, {2, 1});
  const int64_t N = 1000;
  const auto z = torch::cat({torch::full({N, 1}, 0.4, torch::kDouble), torch::full({N, 1}, 0.6, torch::kDouble)});
  const CodeTransport transport{.sharpness = 2, .normalize = false};
  const auto uniform = (torch::arange(2 * N, torch::kDouble) + 0.5).remainder(N) / static_cast<double>(N);
  const auto drawn = transported_codes(z, codes, transport, uniform);
  // Both columns are symmetric: no scaling, logistic of 2 (0.6 - 0.4).
  EXPECT_NEAR(drawn.narrow(0, 0, N).to(torch::kDouble).mean().item<double>(), 1 / (1 + std::exp(0.4)), 1.5e-3);
  EXPECT_NEAR(drawn.narrow(0, N, N).to(torch::kDouble).mean().item<double>(), 1 / (1 + std::exp(-0.4)), 1.5e-3);
}

std::shared_ptr<Quantizer> optvq_of(const Tensor& codes, OptvqConfig config = {}) {
  QuantizerSteps steps;
  config.codes = codes.size(0);
  config.code_size = codes.size(1) * config.heads;
  config.projection = false;
  auto optvq = make_optvq(config, steps.context());
  set(*optvq, "vectors", codes);
  return optvq;
}

TEST(Optvq, TrainingSpreadsTokensEvaluationTakesTheNearest) {
  const auto optvq = optvq_of(floats({0.1, 5}, {2, 1}), {.sharpness = 50, .iterations = 2000, .normalize = false});
  const auto z = floats({0, 0.1, 0.3, 10}, {4, 1});
  QuantizerSteps steps;
  expect_equal(steps.forward(*optvq, z).indices.flatten(), torch::tensor({0, 0, 1, 1}));
  expect_equal(steps.evaluate(*optvq, z).indices.flatten(), torch::tensor({0, 0, 0, 1}));
  expect_equal(optvq->encode(z).flatten(), torch::tensor({0, 0, 0, 1}));
  const auto published =
      optvq_of(floats({0.1, 5}, {2, 1}),
               {.sharpness = 50, .iterations = 2000, .normalize = false, .evaluation = OptvqAssignment::transport});
  expect_equal(published->encode(z).flatten(), torch::tensor({0, 0, 1, 1}));
  EXPECT_EQ(dynamic_cast<CouplesBatch&>(*optvq).couples_batch_by(), "optvq's transport plan");
}

TEST(Optvq, TheSmallWeightIsOnTheCodebook) {
  const auto optvq = optvq_of(floats({1, 4}, {2, 1}));
  const auto quantized = QuantizerSteps().evaluate(*optvq, floats({2}, {1, 1}));
  EXPECT_EQ(term_of(quantized, "codebook").weight.item<double>(), 0.25);
  EXPECT_EQ(term_of(quantized, "commitment").weight.item<double>(), 1);
  expect_close(term_of(quantized, "codebook").value, values({1}), 0);
}

TEST(Optvq, HeadsShareOneCodebook) {
  const auto optvq = optvq_of(floats({0, 0, 10, 10}, {2, 2}), {.heads = 2});
  const auto space = optvq->code_space();
  EXPECT_EQ(space.sizes, (std::vector<int64_t>{2, 2}));
  EXPECT_EQ(space.input_size, 4);
  const auto z = floats({1, 2, 9, 9, 8, 9, 0, 1}, {1, 2, 4});
  const auto quantized = QuantizerSteps().evaluate(*optvq, z);
  expect_equal(quantized.indices, torch::tensor({0, 1, 1, 0}).view({1, 2, 2}));
  expect_equal(quantized.value, floats({0, 0, 10, 10, 10, 10, 0, 0}, {1, 2, 4}));
  expect_equal(optvq->decode(quantized.indices), quantized.value);
  expect_equal(optvq->encode(z), quantized.indices);
  expect_close(term_of(quantized, "commitment").value, values({5 + 2 + 5 + 1}), 0);
  EXPECT_EQ(term_of(quantized, "commitment").elements, 8);
}

TEST(Optvq, ATokenLeftOutTakesNoPartInThePlan) {
  const auto optvq = optvq_of(floats({0.1, 5}, {2, 1}), {.sharpness = 50, .iterations = 2000, .normalize = false});
  const auto z = floats({0, 0.1, NAN, 0.3, 10}, {5, 1});
  const auto mask = torch::tensor({1, 1, 0, 1, 1}).to(torch::kBool);
  const auto quantized = QuantizerSteps().forward(*optvq, z, mask);
  expect_equal(quantized.indices.flatten(), torch::tensor({0, 0, -1, 1, 1}));
  expect_equal(quantized.value, optvq->decode(quantized.indices));
  expect_close(term_of(quantized, "codebook").value, values({0.01, 0, 0, 4.7 * 4.7, 25}), 1e-5, 1e-9);
}

TEST(Optvq, CodesGoThroughTheMapAndBothAreLearnt) {
  QuantizerSteps steps;
  const auto optvq = make_optvq({.codes = 6, .code_size = 4, .heads = 2}, steps.context());
  const auto z = wavy({8, 4}).to(torch::kFloat).set_requires_grad(true);
  const auto quantized = steps.forward(*optvq, z);
  expect_equal(quantized.value, optvq->decode(quantized.indices));
  const auto parameters = optvq->named_parameters();
  for (const auto* name : {"vectors", "projection.weight", "projection.bias"}) {
    ASSERT_TRUE(parameters.contains(name)) << name;
    EXPECT_TRUE(gradient_of(term_of(quantized, "codebook").value, parameters[name]).defined()) << name;
    EXPECT_FALSE(gradient_of(term_of(quantized, "commitment").value, parameters[name]).defined()) << name;
    EXPECT_FALSE(gradient_of(quantized.value, parameters[name]).defined()) << name;
  }
}

TEST(Optvq, TheMapStartsNormalAndBecomesTheIdentityUnderKMeans) {
  QuantizerSteps steps;
  const auto wide = make_optvq({.codes = 2, .code_size = 64}, steps.context());
  EXPECT_NEAR(wide->named_parameters()["projection.weight"].square().mean().item<double>(), 1.0 / 64, 1e-3);
  const auto optvq = make_optvq({.codes = 2, .code_size = 1, .init = CodebookInit::kmeans}, steps.context());
  steps.initialise(*optvq, floats({0, 1, 10, 12}, {4, 1}));
  expect_close(std::get<0>(optvq->codebook().detach().flatten().sort()), values({0.5, 11}), 1e-6);
}

TEST(Optvq, CodesDrawnByThePlanComeFromTheStepsNoise) {
  const auto optvq = optvq_of(wavy({8, 2}).to(torch::kFloat), {.sharpness = 1, .pick = OptvqPick::drawn});
  const auto z = wavy({64, 2}, 0.4).to(torch::kFloat);
  const auto first = QuantizerSteps(1).forward(*optvq, z).indices;
  expect_equal(QuantizerSteps(1).forward(*optvq, z).indices, first);
  EXPECT_FALSE(QuantizerSteps(2).forward(*optvq, z).indices.equal(first));
}

TEST(Optvq, HeadsThatDoNotDivideTheTokenAreRefused) {
  QuantizerSteps steps;
  try {
    make_optvq({.code_size = 10, .heads = 4}, steps.context());
    FAIL();
  } catch (const std::exception& error) {
    EXPECT_STREQ(error.what(), "optvq: heads must divide code_size 10, got 4");
  }
}

}  // namespace elbo::optvq_test
