#include "elbo/models/family.h"

#include "elbo/distributions/normal.h"
#include "elbo/math/numeric.h"
#include "support/tensors.h"

namespace elbo::family_test {

Latents with_weight(const Tensor& log_weight) { return {.layers = {}, .log_weight = log_weight}; }
constexpr double kMinus = -std::numeric_limits<double>::infinity();

TEST(Family, AverageIsTheMeanOverSamples) {
  const auto t = wavy({5, 3});
  expect_close(average({}, t), t.mean(0), 1e-12);
  expect_close(log_mean_exp(Latents{}, t), log_mean_exp(t, 0), 1e-12);
}

TEST(Family, UniformStrataAreOneLargerSample) {
  const auto t = wavy({2, 5, 3});
  expect_close(average({}, t), t.mean(at::IntArrayRef{0, 1}), 1e-12);
  expect_close(log_mean_exp(Latents{}, t), log_mean_exp(t.flatten(0, 1), 0), 1e-12);
}

TEST(Family, StrataWeighAsTheirProbabilities) {
  const auto t = wavy({2, 5, 3});
  const auto weight = values({0.25, 0.75}).view({2, 1, 1}).expand({2, 1, 3});
  const auto latents = with_weight(weight.log());
  expect_close(average(latents, t), 0.25 * t[0].mean(0) + 0.75 * t[1].mean(0), 1e-12);
  expect_close(log_mean_exp(latents, t), (0.25 * t[0].exp().mean(0) + 0.75 * t[1].exp().mean(0)).log(), 1e-12);
}

TEST(Family, UnavailableStrataCannotLeakNaN) {
  auto t = wavy({2, 4, 2}).clone();
  t[1].select(1, 0).fill_(NAN);  // stratum 1 of row 0 is missing
  t.set_requires_grad(true);
  const auto log_weight = values({0, std::log(0.5), kMinus, std::log(0.5)}).view({2, 1, 2});
  const auto latents = with_weight(log_weight);
  for (const auto& value : {average(latents, t), log_mean_exp(latents, t)}) {
    expect_finite(value);
    const auto gradient = torch::autograd::grad({value.sum()}, {t}, {}, true)[0];
    expect_finite(gradient);
    expect_close(gradient[1].select(1, 0), 0.0, 0, 0);
  }
  expect_close(average(latents, t)[0], t[0].select(1, 0).mean(), 1e-12);
}

TEST(Family, MaskedObservationsCountNothing) {
  const auto likelihood = Normal::with_scale(torch::zeros({3, 2, 4}, torch::kDouble), 1, 1);
  const auto target = torch::ones({2, 4}, torch::kDouble);
  const Observation whole{.likelihood = likelihood, .target = target};
  const Observation masked{.likelihood = likelihood, .target = target, .weight = 2, .mask = torch::tensor({true, false})};
  const auto plain = log_likelihood({whole});
  const auto both = log_likelihood({whole, masked});
  expect_close(both.select(1, 0), 3 * plain.select(1, 0), 1e-12);
  expect_close(both.select(1, 1), plain.select(1, 1), 1e-12);
}

}  // namespace elbo::family_test
