#include "elbo/code_priors/pixel_snail.h"

#include <gtest/gtest.h>

#include "code_priors/prior_checks.h"
#include "elbo/base/error.h"

using namespace elbo;

namespace elbo::pixel_snail_test {
namespace {

using namespace prior_checks;

/// The network's parameters by name, for arithmetic of the test's own.
class Parameters {
 public:
  explicit Parameters(const AutoregressiveCodePrior& prior) : named_(prior.named_parameters()) {}
  Tensor operator[](const std::string& name) const { return named_[name].detach(); }
  bool has(const std::string& name) const { return named_.contains(name); }

  /// g v / |v|.
  Tensor weight(const std::string& name) const {
    const auto v = (*this)[name + ".weight_v"];
    return v * (*this)[name + ".weight_g"] / v.flatten(1).norm(2, 1).view({-1, 1, 1, 1});
  }
  /// One masked k x k convolution in place of the two.
  Tensor causal(const std::string& name, const Tensor& x, int64_t kernel, bool own) const {
    const auto rows = weight(name + ".rows"), row = weight(name + ".row");
    auto masked = torch::zeros({rows.size(0), rows.size(1), kernel, kernel});
    masked.slice(2, 0, kernel / 2).copy_(rows);
    masked.select(2, kernel / 2).slice(2, 0, kernel / 2 + (own ? 1 : 0)).copy_(row.select(2, 0));
    return torch::conv2d(x, masked, (*this)[name + ".row.bias"], 1, kernel / 2);
  }
  Tensor pointwise(const std::string& name, const Tensor& x) const {
    return torch::conv2d(x, weight(name), (*this)[name + ".bias"]);
  }

 private:
  torch::OrderedDict<std::string, Tensor> named_;
};

Tensor coordinates(int64_t h, int64_t w) {
  const auto along = [](int64_t n) {
    return (torch::arange(n, torch::kFloat) - static_cast<double>(n) / 2) / static_cast<double>(n);
  };
  return torch::stack({along(h).unsqueeze(1).expand({h, w}), along(w).unsqueeze(0).expand({h, w})}).unsqueeze(0);
}

constexpr CodeGrid kGrid = {.height = 4, .width = 5, .groups = 1, .vocabulary = 4};

TEST(PixelSnail, WithoutAttentionIsItsConvolutions) {
  PriorBed bed(kGrid);
  const auto prior =
      make_pixel_snail({.width = 6, .blocks = 1, .layers = 2, .entry_kernel = 5, .kernel = 3, .attention = false}, bed.context());
  scatter_parameters(*prior);
  const auto codes = scattered_codes(kGrid, 2);
  const Parameters p(*prior);

  const torch::NoGradGuard no_grad;
  const auto embedded = torch::embedding(p["codes.0"], codes.select(3, 0)).permute({0, 3, 1, 2});
  auto h = p.causal("network.entry", embedded, 5, false);
  for (const std::string layer : {"network.blocks.0.layers.0", "network.blocks.0.layers.1"}) {
    const auto hidden = torch::elu(p.causal(layer + ".conv1", torch::elu(h), 3, true));
    h = h + torch::glu(p.causal(layer + ".conv2", hidden, 3, true), 1);
  }
  h = p.pointwise("network.blocks.0.out", torch::cat({h, coordinates(4, 5).expand({2, -1, -1, -1})}, 1));
  const auto places = h.flatten(2).transpose(1, 2);
  const auto hidden = torch::linear(places.relu(), p["heads.0.hidden.weight"], p["heads.0.hidden.bias"]);
  const auto expected = torch::linear(hidden.relu(), p["heads.0.output.weight"], p["heads.0.output.bias"]);
  expect_close(logits_of(*prior, codes, {}), expected, 1e-4, 1e-4);
  EXPECT_FALSE(p.has("network.blocks.0.query.weight_v"));
}

TEST(PixelSnail, FirstPlaceAttendsToNothingAndTheSecondToTheFirstAlone) {
  PriorBed bed({.height = 1, .width = 3, .groups = 1, .vocabulary = 4});
  const auto prior = make_pixel_snail({.width = 8, .blocks = 1, .layers = 1, .entry_kernel = 3, .heads = 2}, bed.context());
  scatter_parameters(*prior);
  const auto codes = scattered_codes(bed.grid, 2);
  const auto before = logits_of(*prior, codes, {});
  const torch::NoGradGuard no_grad;
  const auto parameters = prior->named_parameters();
  const auto change = [&](const std::string& name, const Tensor& by) {
    auto parameter = parameters[name];
    const auto kept = parameter.clone();
    parameter.add_(by);
    const auto after = logits_of(*prior, codes, {});
    parameter.copy_(kept);
    return (after != before).any(2).any(0);  // of each position
  };
  // Weights of one key are 1 whatever the query; of none, nothing of the values enters.
  expect_equal(change("network.blocks.0.query.weight_g", wavy({4, 1, 1, 1}).to(torch::kFloat)),
               torch::tensor({false, false, true}));
  expect_equal(change("network.blocks.0.value.bias", torch::ones({4})), torch::tensor({false, true, true}));
}

TEST(PixelSnail, AttentionOfTheFirstPlaceHasNoNan) {
  PriorBed bed(kGrid);
  const auto prior = make_pixel_snail({.width = 8, .blocks = 2, .layers = 1, .heads = 2, .dropout = 0}, bed.context());
  auto step = bed.step(true);
  const auto loss = prior->loss(scattered_codes(kGrid, 2), {}, step).value.sum();
  loss.backward();
  EXPECT_TRUE(std::isfinite(loss.item<double>()));
  for (const auto& parameter : prior->parameters()) expect_finite(parameter.grad());
}

TEST(PixelSnail, DropsOnlyInTrainingAndFromTheModelsStream) {
  PriorBed bed(kGrid);
  const auto prior = make_pixel_snail({.width = 8, .blocks = 1, .layers = 1, .heads = 2, .dropout = 0.5}, bed.context());
  scatter_parameters(*prior);
  const auto codes = scattered_codes(kGrid, 2);
  const torch::NoGradGuard no_grad;
  const auto loss = [&](bool training) {
    bed.streams.rekey(3);
    auto step = bed.step(training);
    return prior->loss(codes, {}, step).value;
  };
  expect_equal(loss(true), loss(true));
  EXPECT_TRUE((loss(true) != loss(false)).all().item<bool>());
  expect_close(loss(false), -prior->log_prob(codes, {}), 1e-5);
}

TEST(PixelSnail, HeadsThatDoNotDivideAreRefused) {
  PriorBed bed(kGrid);
  try {
    make_pixel_snail({.width = 12, .heads = 4}, bed.context());
    ADD_FAILURE() << "accepted";
  } catch (const ConfigError& error) {
    EXPECT_STREQ(error.what(), "pixel_snail: heads must divide half of width 12, got 4");
  }
}

}  // namespace
}  // namespace elbo::pixel_snail_test
