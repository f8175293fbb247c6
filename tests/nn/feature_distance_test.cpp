#include "elbo/nn/feature_distance.h"

#include <gmock/gmock.h>
#include <torch/csrc/jit/api/module.h>

#include <filesystem>

#include "elbo/base/error.h"
#include "support/tensors.h"

using namespace elbo;

namespace feature_distance_test {

using Maps = std::vector<Tensor>;

Tensor image(double phase) { return wavy({2, 3, 8, 8}, phase).to(torch::kFloat); }

TEST(FeatureDistance, IsTheMeanSquareOfUnitVectorsDifferences) {
  const auto f = values({3, 4, 0, 1}, {1, 2, 1, 2}), g = values({0, 1, 1, 0}, {1, 2, 1, 2});
  // Places (3, 0) and (4, 1) against (0, 1) and (1, 0): unit vectors (1, 0), (4, 1) / sqrt 17.
  const double second = std::pow(1 - 4 / std::sqrt(17), 2) + 1.0 / 17;
  expect_close(feature_distance({f}, {g}), values({(2 + second) / 4}), 1e-7);
  expect_close(feature_distance({f, f}, {g, f}), values({(2 + second) / 4}), 1e-7);  // maps add up
}

TEST(FeatureDistance, OfMapsInBfloat16IsFloat32) {
  const auto f = wavy({2, 3, 4, 4}).to(torch::kBFloat16), g = wavy({2, 3, 4, 4}, 1).to(torch::kBFloat16);
  const auto distance = feature_distance({f}, {g});
  EXPECT_EQ(distance.scalar_type(), torch::kFloat);
  expect_equal(distance, feature_distance({f.to(torch::kFloat)}, {g.to(torch::kFloat)}));
}

TEST(FeatureDistance, IsZeroForItselfSymmetricAndBlindToTheLengthOfAPlacesFeatures) {
  const Maps f = {wavy({2, 5, 4, 3})}, g = {wavy({2, 5, 4, 3}, 0.8)};
  expect_equal(feature_distance(f, f), torch::zeros({2}, torch::kDouble));
  expect_close(feature_distance(f, g), feature_distance(g, f), 1e-12);
  const Maps longer = {f[0] * (wavy({2, 1, 4, 3}, 2).abs() + 0.1)};
  expect_close(feature_distance(longer, g), feature_distance(f, g), 1e-7);
  EXPECT_GT(feature_distance(f, g).min().item<double>(), 0.01);
}

TEST(FeatureDistance, LearntWeightsOfChannelsReplaceTheMean) {
  const auto f = values({3, 4, 0, 1}, {1, 2, 1, 2}), g = values({0, 1, 1, 0}, {1, 2, 1, 2});
  // As above, channel by channel: (1, 1) at the first place, ((4 / sqrt 17 - 1)^2, 1 / 17) at the second.
  const double second = 5 * std::pow(1 - 4 / std::sqrt(17), 2) + 0.5 / 17;
  expect_close(feature_distance({f}, {g}, {values({5, 0.5})}), values({(5.5 + second) / 2}), 1e-7);
  expect_close(feature_distance({f, g}, {g, f}, {values({0, 0}), values({5, 0.5})}), values({(5.5 + second) / 2}), 1e-7);
  expect_close(feature_distance({f}, {g}, {values({0.5, 0.5})}), feature_distance({f}, {g}), 1e-12);
  const Maps a = {wavy({2, 5, 4, 3})}, b = {wavy({2, 5, 4, 3}, 0.8)}, weights = {wavy({5}).abs()};
  expect_equal(feature_distance(a, a, weights), torch::zeros({2}, torch::kDouble));
  expect_close(feature_distance(a, b, weights), feature_distance(b, a, weights), 1e-12);
  expect_close(feature_distance({a[0] * (wavy({2, 1, 4, 3}, 2).abs() + 0.1)}, b, weights), feature_distance(a, b, weights), 1e-7);
}

TEST(FeatureDistance, SaysWhatIsWrongWithWeights) {
  const auto message = [](const Maps& weights) -> std::string {
    const Maps maps = {wavy({1, 3, 2, 2}), wavy({1, 2, 2, 2})};
    try {
      feature_distance(maps, maps, weights);
    } catch (const ConfigError& error) {
      return error.what();
    }
    return "no error";
  };
  const std::string expected = ", expected for each map a tensor of as many numbers of 0 or more as it has channels";
  const auto three = values({1, 0, 2});
  EXPECT_EQ(message({three}), "the feature network's channel_weights: got 1 tensors for 2 maps" + expected);
  EXPECT_EQ(message({three, three}), "the feature network's channel_weights: got 3 numbers for map 1 of 2 channels" + expected);
  EXPECT_EQ(message({three, values({1, -0.1})}),
            "the feature network's channel_weights: got a number that isn't 0 or more for map 1" + expected);
  EXPECT_EQ(message({three, values({1, NAN})}),
            "the feature network's channel_weights: got a number that isn't 0 or more for map 1" + expected);
  EXPECT_EQ(message({three, values({1, 0})}), "no error");
}

TEST(FeatureDistance, FeaturesThatAreAllZeroHaveAFiniteGradient) {
  const auto f = torch::zeros({1, 3, 2, 2}).requires_grad_();
  feature_distance({f}, {torch::ones({1, 3, 2, 2})}).sum().backward();
  expect_finite(f.grad());
}

TEST(FeatureDistance, OfTheStandInIsTheSameInEveryRunAndFrozen) {
  FeatureDistance first({.network = "random"}), second({.network = "random"});
  auto x = image(0.3).requires_grad_();
  auto y = image(0.9).requires_grad_();
  const auto distance = first(x, y);
  expect_equal(distance, second(x, y));
  expect_equal(first(x, x), torch::zeros({2}));
  distance.sum().backward();
  EXPECT_GT(x.grad().abs().max().item<double>(), 0);
  EXPECT_FALSE(y.grad().defined()) << "the target is data";
}

struct Script {
  explicit Script(const std::string& more = "") {
    torch::jit::Module module("features");
    module.register_attribute("training", c10::BoolType::get(), true);
    module.register_parameter("weight", torch::full({1}, 2.0f), false);
    module.define(R"(
      def forward(self, x):
        if self.training:
          return [x, x + 1]
        return [self.weight * x, x.abs() + 0.1]
    )");
    if (!more.empty()) module.define(more);
    module.save(path.string());
  }
  ~Script() { std::filesystem::remove(path); }
  std::filesystem::path path = std::filesystem::temp_directory_path() / ("features-" + std::to_string(::getpid()) + ".pt");
};

TEST(FeatureDistance, ReadsATorchScriptNetworkAndFreezesIt) {
  const Script script;
  const auto net = feature_net(script.path.string());
  const auto maps = net.maps(image(0));
  ASSERT_EQ(maps.size(), 2U);
  expect_equal(maps[0], 2 * image(0));  // evaluation mode
  EXPECT_FALSE(maps[0].requires_grad()) << "its parameters get no gradients";
  FeatureDistance distance({.network = script.path.string(), .shift = {0.1, 0.2, 0.3}, .scale = {0.5, 0.5, 2}});
  const auto of = [&](const Tensor& x) {
    const auto prepared = (x - torch::tensor({0.1, 0.2, 0.3}, torch::kFloat).view({1, 3, 1, 1})) /
                          torch::tensor({0.5, 0.5, 2.0}, torch::kFloat).view({1, 3, 1, 1});
    return Maps{2 * prepared, prepared.abs() + 0.1};
  };
  expect_close(distance(image(0), image(1)), feature_distance(of(image(0)), of(image(1))), 1e-5);
}

TEST(FeatureDistance, TakesTheWeightsThatTheNetworkGives) {
  const Script script(R"(
    def channel_weights(self):
      return [torch.tensor([0.5, 0.0, 2.0]).view([1, 3, 1, 1]), torch.tensor([0.0, 1.0, 0.0])]
  )");
  const auto net = feature_net(script.path.string());
  const Maps weights = {torch::tensor({0.5, 0.0, 2.0}), torch::tensor({0.0, 1.0, 0.0})};
  ASSERT_EQ(net.channel_weights.size(), 2U);
  FeatureDistance distance({.network = script.path.string()});
  const auto expected = feature_distance(net.maps(image(0)), net.maps(image(1)), weights);
  expect_close(distance(image(0), image(1)), expected, 1e-6);
  EXPECT_GT((expected - feature_distance(net.maps(image(0)), net.maps(image(1)))).abs().min().item<double>(), 1e-3);
  const Script wrong("def channel_weights(self):\n  return 3\n");
  try {
    feature_net(wrong.path.string());
    FAIL() << "weights must be a list";
  } catch (const ConfigError& error) {
    EXPECT_EQ(std::string(error.what()), "channel_weights of the feature network " + wrong.path.string() +
                                             " gave Int, expected a list of tensors, one a map");
  }
}

TEST(FeatureDistance, SaysWhatIsWrongWithAFile) {
  const auto message = [](const std::string& network) -> std::string {
    try {
      feature_net(network).maps(image(0));
    } catch (const ConfigError& error) {
      return error.what();
    }
    return "no error";
  };
  EXPECT_THAT(message("no_such_file.pt"), ::testing::HasSubstr("the feature network no_such_file.pt can't be read: "));
  EXPECT_THAT(message("no_such_file.pt"), ::testing::HasSubstr("give the path of a file that torch.jit.save wrote, or random"));
}

}  // namespace feature_distance_test
