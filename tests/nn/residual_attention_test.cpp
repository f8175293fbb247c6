#include "elbo/nn/residual_attention.h"

#include <ATen/Context.h>

#include "elbo/base/error.h"
#include "support/tensors.h"

namespace elbo::residual_attention_test {

const ResidualAttentionConfig kTiny{.channels = {3, 4}, .blocks = 1, .kernel = 5};

std::string message_of_network(const std::function<void()>& act) {
  try {
    act();
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "nothing was thrown";
}

Tensor buffer_of(torch::nn::Module& module, const std::string& name) {
  const auto all = module.named_parameters();
  const auto* found = all.find(name);
  if (!found) throw std::out_of_range(name);
  return *found;
}

TEST(ResidualAttention, KeepsPlacesAndEnlargesToTheOutput) {
  Stream init(1, "init", at::kCPU);
  const auto encoder = make_residual_attention_encoder(kTiny, {.input_shape = {1, 8, 10}, .init = init});
  EXPECT_EQ(encoder->map_shape(), (Shape{4, 8, 10}));
  EXPECT_EQ(encoder->forward(torch::zeros({2, 1, 8, 10})).sizes(), (Shape{2, 320}));
  EXPECT_EQ(encoder->summary(), "1x8x10-3c-4c-1a");
  for (const int64_t times : {1, 2, 4}) {
    const auto decoder = make_residual_attention_decoder(
        kTiny, {.latent_size = 480, .latent_map = {6, 8, 10}, .output_shape = {2, 8 * times, 10 * times}, .init = init});
    EXPECT_EQ(decoder->forward(torch::zeros({2, 480})).sizes(), (Shape{2, 2, 8 * times, 10 * times}));
    EXPECT_EQ(decoder->features(torch::zeros({2, 480})).sizes(), (Shape{2, decoder->feature_channels(), 8 * times, 10 * times}));
  }
}

// A block is SiLU(x + sigmoid(mask) trunk(x)): with trunk weights of zero and bias 2, and a mask of zeros, SiLU(x + 1).
TEST(ResidualAttention, AddsTheTrunkWeighedByTheMask) {
  Stream init(1, "init", at::kCPU);
  const ResidualAttentionConfig config{.channels = {1}, .blocks = 1, .kernel = 3};
  const auto encoder = make_residual_attention_encoder(config, {.input_shape = {1, 6, 6}, .init = init});
  encoder->eval();
  const torch::NoGradGuard no_grad;
  for (auto& item : encoder->named_parameters()) {
    if (item.key().starts_with("blocks") || item.key().starts_with("convs")) item.value().zero_();
  }
  buffer_of(*encoder, "blocks.0.trunk.2.bias").fill_(2);
  buffer_of(*encoder, "convs.0.weight")[0][0][1][1] = 1;  // the image itself
  const auto x = wavy({1, 1, 6, 6}).to(torch::kFloat);
  const auto expected = torch::silu(torch::silu(x / std::sqrt(1 + 1e-5)) + 1);
  expect_close(encoder->forward(x).view({1, 1, 6, 6}), expected, 1e-5, 1e-6);
  // A mask far below zero closes the trunk.
  buffer_of(*encoder, "blocks.0.mask.2.bias").fill_(-50);
  expect_close(encoder->forward(x).view({1, 1, 6, 6}), torch::silu(torch::silu(x / std::sqrt(1 + 1e-5))), 1e-5, 1e-6);
}

// Mirrored edges: a constant picture stays constant up to them.
TEST(ResidualAttention, EdgesAreMirrored) {
  Stream init(1, "init", at::kCPU);
  const auto encoder = make_residual_attention_encoder(kTiny, {.input_shape = {1, 12, 12}, .init = init});
  encoder->eval();
  const auto features = encoder->forward(torch::ones({1, 1, 12, 12})).view({4, 144});
  expect_close(features, features.slice(1, 0, 1).expand({4, 144}), 0, 1e-5);
}

struct RepeatableNetwork {
  RepeatableNetwork() { at::globalContext().setDeterministicAlgorithms(true, /*warn_only=*/false); }
  ~RepeatableNetwork() { at::globalContext().setDeterministicAlgorithms(false, false); }
};

// With deterministic algorithms edges and sizes are made by other operations: values and gradients are the same.
TEST(ResidualAttention, RepeatableOperationsGiveTheSame) {
  Stream init(1, "init", at::kCPU);
  const auto encoder = make_residual_attention_encoder(kTiny, {.input_shape = {1, 7, 10}, .init = init});
  const auto decoder = make_residual_attention_decoder(
      kTiny, {.latent_size = 280, .latent_map = {4, 7, 10}, .output_shape = {2, 28, 40}, .init = init});
  const auto run = [&](torch::nn::Module& network, const auto& forward, int64_t size) {
    network.to(torch::kDouble);
    for (auto& parameter : network.parameters()) parameter.mutable_grad() = Tensor();
    auto x = wavy({2, size}).requires_grad_();
    const auto y = forward(x);
    (y * wavy(y.sizes(), 0.2)).sum().backward();
    std::vector<Tensor> seen = {y.detach(), x.grad()};
    for (auto& parameter : network.parameters()) seen.push_back(parameter.grad());
    return seen;
  };
  const auto both = [&] {
    const auto encode = [&](const Tensor& x) { return encoder->forward(x.view({2, 1, 7, 10})); };
    const auto decode = [&](const Tensor& z) { return decoder->forward(z); };
    auto seen = run(*encoder, encode, 70);
    for (const auto& tensor : run(*decoder, decode, 280)) seen.push_back(tensor);
    return seen;
  };
  const auto expected = both();
  const RepeatableNetwork repeatable;
  const auto seen = both();
  bool others = false;
  for (size_t i = 0; i < seen.size(); ++i) {
    expect_close(seen[i], expected[i], 1e-9, 1e-10);
    others = others || !seen[i].equal(expected[i]);
  }
  EXPECT_TRUE(others) << "the same operations";
}

TEST(ResidualAttention, SaysWhichSizesDoNotFit) {
  Stream init(1, "init", at::kCPU);
  EXPECT_EQ(message_of_network([&] {
              make_residual_attention_encoder({}, {.input_shape = {1, 8, 8}, .init = init});
            }),
            "residual_attention encoder: a kernel of 9 needs maps of at least 10 x 10, got 8 x 8; give a smaller kernel");
  EXPECT_EQ(message_of_network([&] {
              make_residual_attention_decoder(
                  kTiny, {.latent_size = 256, .latent_map = {4, 8, 8}, .output_shape = {1, 24, 24}, .init = init});
            }),
            "residual_attention decoder: got latents of shape [4, 8, 8] for an output of 1x24x24, which is not that map doubled "
            "some times");
}

}  // namespace elbo::residual_attention_test
