#include "elbo/evaluation/active_units.h"

#include "elbo/evaluation/evaluator.h"
#include "fakes.h"

using namespace elbo;

namespace active_units_test {

using fakes::ScalarModel;

/// x = +-2: population variance lambda = 4.
std::shared_ptr<Dataset> two_points(int64_t N) {
  return fakes::rows(2 * (2 * (torch::arange(N) % 2) - 1).to(at::kDouble).unsqueeze(1));
}

/// The optimum of the linear VAE at lambda = 4, sigma^2 = 1 (w = sqrt 3, gain w / 4, variance 1/4), and a collapsed unit.
std::shared_ptr<ScalarModel> linear_optimum() {
  return std::make_shared<ScalarModel>(std::vector<double>{std::sqrt(3), 0}, std::vector<double>{std::sqrt(3) / 4, 0},
                                       std::vector<double>{0.25, 1});
}

CollapsePanel panel_of(Model& model, int64_t N, int64_t batch_size) {
  return collapse_panel({.model = model, .dataset = two_points(N), .seed = 1, .batch_size = batch_size});
}

TEST(ActiveUnits, AreTheClosedFormAtTheLinearOptimum) {
  const auto model = linear_optimum();
  const auto panel = panel_of(*model, 100, 30);
  ASSERT_EQ(panel.layers.size(), 1U);
  const auto& layer = panel.layers[0];
  expect_close(layer.variance_of_means, values({0.75, 0}), 1e-13, 1e-15);   // (lambda - sigma^2) / lambda
  expect_close(layer.kl_per_unit, values({std::log(2), 0}), 1e-13, 1e-15);  // 0.5 ln(lambda / sigma^2)
  EXPECT_NEAR(layer.kl, std::log(2), 1e-13);
  EXPECT_EQ(panel.num_active(), 1);
  EXPECT_EQ(panel.num_units(), 2);
  EXPECT_EQ(layer.note, "");
}

TEST(ActiveUnits, DoNotDependOnBatchSize) {
  const auto model = linear_optimum();
  const auto expected = panel_of(*model, 101, 101).layers[0];
  for (const int64_t batch_size : {1, 2, 50, 64}) {
    const auto layer = panel_of(*model, 101, batch_size).layers[0];
    expect_close(layer.variance_of_means, expected.variance_of_means, 1e-13, 1e-15);
    expect_close(layer.kl_per_unit, expected.kl_per_unit, 1e-13, 1e-15);
  }
  // An odd number of rows: the population's variance 4 (1 - 1/101^2), not the sample's.
  EXPECT_NEAR(expected.variance_of_means[0].item<double>(), 0.75 * (1 - 1.0 / (101 * 101)), 1e-13);
}

TEST(ActiveUnits, NeedMoreThanTheThreshold) {
  LayerActivity layer{.variance_of_means = values({0.01, 0.0100001, 0.0099, 3})};
  EXPECT_EQ(layer.num_active(), 2);
}

// The variance of a mean of 16 samples would be 1/16 for a collapsed unit, six times the threshold.
TEST(ActiveUnits, SampledMeansAreNotInflatedByThePosteriorsVariance) {
  const auto model = linear_optimum();
  model->posterior = ScalarModel::Posterior::opaque;
  const auto panel = panel_of(*model, 20000, 5000);
  const auto& layer = panel.layers[0];
  EXPECT_NEAR(layer.variance_of_means[0].item<double>(), 0.75, 0.01);
  EXPECT_NEAR(layer.variance_of_means[1].item<double>(), 0, 4 * std::sqrt(1.0 / 8 / 8 / 20000));
  EXPECT_EQ(panel.num_active(), 1);
  EXPECT_FALSE(layer.kl_per_unit.defined());
  EXPECT_NEAR(layer.kl, std::log(2), 0.02);
  EXPECT_EQ(layer.note, "E_q[z | x] from 16 samples; KL by Monte Carlo from 16 samples");
}

/// top: q(a | x) = N(0.5 x, 1); bottom: q(b | a) = N(0.5 a, 0.25), p(b | a) = N(0, 1).
class TwoLayers final : public Model, public Variational {
 public:
  std::string_view family() const override { return "variational"; }
  std::string summary() const override { return "two layers"; }
  Latents infer(const Batch& batch, int64_t K, Noise& noise) override {
    const auto mean = 0.5 * batch.at("x");
    const auto zero = torch::zeros_like(mean);
    const auto top = std::make_shared<Normal>(mean, zero);
    const auto a = top->rsample({K, batch.size()}, noise);
    const auto bottom = std::make_shared<Normal>(0.5 * a, torch::full_like(a, std::log(0.25)));
    return {.layers = {{.name = "a", .q = top, .p = std::make_shared<Normal>(zero, zero), .z = a},
                       {.name = "b",
                        .q = bottom,
                        .p = std::make_shared<Normal>(torch::zeros_like(a), torch::zeros_like(a)),
                        .z = bottom->rsample({K, batch.size()}, noise)}}};
  }
  Latents prior(const Batch&, int64_t, Noise&) override { return {}; }
  std::vector<Observation> decode(const Latents&, const Batch&) override { return {}; }
  std::vector<Tensor> inference_parameters() override { return {}; }
};

TEST(ActiveUnits, AverageALowerLayerOverTheLayerAbove) {
  TwoLayers model;
  const auto panel = panel_of(model, 20000, 5000);
  ASSERT_EQ(panel.layers.size(), 2U);
  EXPECT_NEAR(panel.layers[0].variance_of_means[0].item<double>(), 1, 1e-12);     // 0.25 lambda, exactly
  EXPECT_NEAR(panel.layers[1].variance_of_means[0].item<double>(), 0.25, 0.005);  // of E[b | x] = 0.25 x
  EXPECT_EQ(panel.layers[0].note, "");
  EXPECT_EQ(panel.layers[1].note, "E_q[z | x] from 16 samples");
  // E KL = 0.5 (0.25 + 0.25 E a^2 - 1 - ln 0.25), E a^2 = 1 + 1
  EXPECT_NEAR(panel.layers[1].kl, 0.5 * (0.25 + 0.5 - 1 + std::log(4)), 0.01);
  EXPECT_NEAR(panel.layers[1].kl_per_unit[0].item<double>(), panel.layers[1].kl, 1e-12);
  const auto result = evaluate({.model = model, .dataset = two_points(200), .seed = 1}, {"active_units"});
  std::vector<std::string> keys;
  for (const auto& measured : result.measurements) keys.push_back(measured.key());
  EXPECT_EQ(keys, (std::vector<std::string>{"active_units", "num_units", "active_units_a", "active_units_b"}));
  EXPECT_EQ(result.measurements[0].note, "b: E_q[z | x] from 16 samples");
}

TEST(ActiveUnits, AreDrawnAsBars) {
  const CollapsePanel panel{
      .layers = {
          {.name = "z", .variance_of_means = values({0, 0.9, 0.5, 0.001}), .kl_per_unit = values({0, 4, 2, 0.1}), .kl = 6.1},
          {.name = "y", .variance_of_means = values({0.1, 0.8}), .kl = 1, .note = "KL by Monte Carlo from 1 sample"}}};
  EXPECT_EQ(panel.str(),
            "z: 2 of 4 units active, KL 6.10 nats; KL by unit, largest 4.000\n"
            "  █▄▁▁\n"
            "y: 2 of 2 units active, KL 1.00 nats; variance of means by unit, largest 0.800 (KL by Monte Carlo from 1 sample)\n"
            "  █▁");
  const CollapsePanel wide{.layers = {{.name = "z", .variance_of_means = torch::linspace(1, 0, 100, at::kDouble)}}};
  EXPECT_EQ(wide.str(10).substr(wide.str(10).find('\n') + 1), "  ██▆▆▄▃▂▁");
}

TEST(ActiveUnits, NameWhatTheModelLacks) {
  fakes::Inert inert;
  EXPECT_EQ(fakes::message_of([&] { evaluate({.model = inert, .dataset = two_points(3)}, {"active_units"}); }),
            "metric 'active_units' needs a variational model; this model is quantized and can do nothing beyond that");
}

}  // namespace active_units_test
