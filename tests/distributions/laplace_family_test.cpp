#include "elbo/distributions/kl.h"
#include "elbo/distributions/laplace.h"
#include "elbo/distributions/laplace_posterior.h"
#include "elbo/distributions/laplace_prior.h"
#include "support/tensors.h"

namespace elbo::laplace_family_test {

TEST(LaplaceFamily, ScalesOfAnExampleAddUpToTheLatentSize) {
  Stream init(1, "init", at::kCPU);
  const auto posterior = make_laplace_posterior({}, {.num_features = 5, .latent_size = 7, .init = init});
  const auto q = posterior->forward(3 * wavy({4, 5}).to(torch::kFloat));
  const auto scales = dynamic_cast<const Laplace&>(*q).log_scale().exp();
  expect_close(scales.sum(-1), 7.0, 1e-5);
  EXPECT_GT(scales.std().item<double>(), 0.01);
  expect_close(detail::log_scales_that_add_up(values({0, 0, -1e4})).exp(), values({1.5, 1.5, 0}), 1e-5, 2e-6);
}

TEST(LaplaceFamily, PriorHasMeanZeroAndScaleOneWhichMayBeLearned) {
  Stream init(1, "init", at::kCPU);
  const auto fixed = make_laplace_prior({.learn_scale = false}, {.latent_size = 3, .init = init});
  const auto learned = make_laplace_prior({}, {.latent_size = 3, .init = init});
  const auto z = wavy({2, 3}).to(torch::kFloat);
  expect_close(fixed->forward(2)->log_prob(z), -z.abs().sum(-1) - 3 * std::log(2.0), 1e-6);
  expect_close(learned->forward(2)->log_prob(z), fixed->forward(2)->log_prob(z), 1e-5);
  EXPECT_TRUE(fixed->parameters().empty());
  learned->forward(2)->log_prob(z).sum().backward();
  EXPECT_TRUE(learned->parameters()[0].grad().ne(0).any().item<bool>());
  EXPECT_TRUE(has_closed_form_kl(*fixed->forward(2), *learned->forward(2)));
}

}  // namespace elbo::laplace_family_test
