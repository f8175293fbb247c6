#include "elbo/nn/sequence_transformer.h"

#include "nn/networks.h"
#include "support/gradients.h"

namespace elbo {
namespace network_test {
namespace {

using ::testing::ElementsAre;

const SequenceTransformerConfig kTinyTransformer = {.width = 4, .layers = 1, .heads = 2};

void zero(torch::nn::Module& module, const std::string& name) {
  const torch::NoGradGuard no_grad;
  module.named_parameters()[name].zero_();
}

TEST(SequenceTransformer, ParametersAreNamedByWhatTheyDo) {
  auto init = init_stream();
  const auto encoder = make_sequence_transformer_encoder(kTinyTransformer, {.input_shape = {3, 8}, .init = init});
  EXPECT_THAT(names_and_shapes(*encoder),
              ElementsAre("places [3, 4]", "entry.weight [4, 8]", "entry.bias [4]", "blocks.0.attention_norm.weight [4]",
                          "blocks.0.attention_norm.bias [4]", "blocks.0.attention.weight [12, 4]", "blocks.0.attention.bias [12]",
                          "blocks.0.attention_output.weight [4, 4]", "blocks.0.attention_output.bias [4]",
                          "blocks.0.wide_norm.weight [4]", "blocks.0.wide_norm.bias [4]", "blocks.0.wide.weight [16, 4]",
                          "blocks.0.wide.bias [16]", "blocks.0.wide_output.weight [4, 16]", "blocks.0.wide_output.bias [4]",
                          "norm.weight [4]", "norm.bias [4]"));
  const auto decoder =
      make_sequence_transformer_decoder(kTinyTransformer, {.latent_size = 2, .output_shape = {3, 8}, .init = init});
  EXPECT_EQ(decoder->named_parameters()["entry.weight"].sizes(), Shape({4, 2}));
  EXPECT_EQ(decoder->named_parameters()["output.weight"].sizes(), Shape({8, 4}));
  EXPECT_EQ(encoder->num_features(), 4);
  EXPECT_EQ(encoder->summary(), "[3, 8]-4 x 1 blocks");
}

/// The block written out, a head and a row at a time.
TEST(SequenceTransformer, ComputesItsFormula) {
  constexpr int64_t kT = 3, kW = 4;
  auto init = init_stream();
  const auto encoder = make_sequence_transformer_encoder(kTinyTransformer, {.input_shape = {kT, 5}, .init = init});
  fill(*encoder);
  const auto parameters = encoder->named_parameters();
  const auto linear = [&](const std::string& name, const Tensor& rows) {
    return rows.matmul(parameters[name + ".weight"].t()) + parameters[name + ".bias"];
  };
  const auto norm = [&](const std::string& name, const Tensor& rows) {
    const auto centred = rows - rows.mean(1, true);
    const auto unit = centred / (centred.square().mean(1, true) + 1e-5).sqrt();
    return unit * parameters[name + ".weight"] + parameters[name + ".bias"];
  };
  const auto x = wavy({2, kT, 5}, 0.5);
  std::vector<Tensor> expected;
  for (const auto& example : x.unbind(0)) {
    auto h = linear("entry", example) + parameters["places"];
    const auto three = linear("blocks.0.attention", norm("blocks.0.attention_norm", h)).split(kW, 1);
    std::vector<Tensor> heads;
    for (const int64_t from : {0, 2}) {
      const auto of_head = [&](size_t which) { return three[which].narrow(1, from, 2); };
      const auto weights = (of_head(0).matmul(of_head(1).t()) / std::sqrt(2.0)).softmax(1);
      heads.push_back(weights.matmul(of_head(2)));
    }
    h = h + linear("blocks.0.attention_output", torch::cat(heads, 1));
    const auto wide = linear("blocks.0.wide", norm("blocks.0.wide_norm", h));
    h = h + linear("blocks.0.wide_output", 0.5 * wide * (1 + torch::erf(wide / std::sqrt(2.0))));
    expected.push_back(norm("norm", h).mean(0));
  }
  expect_close(encoder->forward(x), torch::stack(expected), 1e-12);
}

TEST(SequenceTransformer, PlacesAloneTellRowsApart) {
  auto init = init_stream();
  const auto encoder = make_sequence_transformer_encoder({}, {.input_shape = {6, 8}, .init = init});
  const auto decoder = make_sequence_transformer_decoder({}, {.latent_size = 3, .output_shape = {6, 8}, .init = init});
  encoder->to(torch::kDouble);
  decoder->to(torch::kDouble);
  const torch::NoGradGuard no_grad;
  const auto x = wavy({2, 6, 8}), z = wavy({2, 3});
  EXPECT_FALSE(encoder->forward(x).allclose(encoder->forward(x.roll(2, 1)), 1e-6, 1e-6));
  EXPECT_FALSE(decoder->forward(z).select(1, 0).allclose(decoder->forward(z).select(1, 1), 1e-6, 1e-6));
  zero(*encoder, "places");
  zero(*decoder, "places");
  expect_close(encoder->forward(x.roll(2, 1)), encoder->forward(x), 1e-10, 1e-12);
  expect_close(decoder->forward(z).select(1, 0), decoder->forward(z).select(1, 1), 1e-10, 1e-12);
}

TEST(SequenceTransformer, GradientsReachEveryParameterAndAreThoseOfFiniteDifferences) {
  auto init = init_stream();
  const auto encoder = make_sequence_transformer_encoder(kTinyTransformer, {.input_shape = {3, 8}, .init = init});
  const auto decoder =
      make_sequence_transformer_decoder(kTinyTransformer, {.latent_size = 2, .output_shape = {3, 8}, .init = init});
  expect_gradient_everywhere(*decoder, decoder->forward(wavy({6, 2}).to(torch::kFloat)));
  encoder->to(torch::kDouble);
  decoder->to(torch::kDouble);
  expect_gradient_matches([&](const std::vector<Tensor>& x) { return encoder->forward(x[0]); }, {wavy({2, 3, 8})},
                          {.rtol = 1e-5, .atol = 1e-7});
  expect_gradient_matches([&](const std::vector<Tensor>& z) { return decoder->forward(z[0]); }, {wavy({2, 2})},
                          {.rtol = 1e-5, .atol = 1e-7});
}

TEST(SequenceTransformer, RefusesWhatIsNoSequence) {
  auto init = init_stream();
  EXPECT_EQ(message_of([&] {
              make_sequence_transformer_encoder({}, {.input_shape = {1, 8, 8}, .init = init});
            }),
            "sequence_transformer encoder: takes rows of numbers, [T, F], got [1, 8, 8]; choose mlp or a network for images");
  EXPECT_EQ(message_of([&] { make_sequence_transformer_decoder({}, {.latent_size = 2, .output_shape = {8}, .init = init}); }),
            "sequence_transformer decoder: takes rows of numbers, [T, F], got [8]; choose mlp or a network for images");
  const auto encoder = make_sequence_transformer_encoder({}, {.input_shape = {3, 8}, .init = init});
  EXPECT_THROW(encoder->forward(torch::zeros({2, 4, 8})), ShapeError);
}

}  // namespace
}  // namespace network_test
}  // namespace elbo
