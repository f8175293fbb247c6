#include "elbo/models/vq_vae.h"

#include "elbo/base/error.h"
#include "elbo/nn/mlp.h"
#include "elbo/nn/residual_conv.h"
#include "elbo/quantizers/tokens.h"
#include "elbo/quantizers/vq.h"
#include "quantizers/quantizer_steps.h"

namespace elbo::vq_vae_test {

const FieldSpec kPicture = {.shape = {1, 8, 8}, .kind = ValueKind::binary};

VqVaeConfig config_of(const std::string& network) {
  VqVaeConfig config;
  if (network == "residual_conv") {
    const ResidualConvConfig small{.channels = {4, 6}, .residual_blocks = 0};
    config.encoder.set("residual_conv", small);
    config.decoder.set("residual_conv", small);
  } else {
    config.encoder.set("mlp", MlpConfig{});
    config.decoder.set("mlp", MlpConfig{});
  }
  config.quantizer.set("vq", VqConfig{.codes = 5, .code_size = 3});
  config.tokens = 7;
  return config;
}

std::shared_ptr<VqVae> model_of(const VqVaeConfig& config, const FieldSpec& x = kPicture) {
  const DataSpec spec = {{"x", x}};
  Stream init(1, "init", at::kCPU);
  return std::make_shared<VqVae>(config, ModelContext{.spec = spec, .init = init});
}

Batch pictures(int64_t B) {
  return {.fields = {{"x", {.value = wavy({B, 1, 8, 8}).gt(0).to(torch::kFloat)}}}, .index = torch::arange(B)};
}

TEST(VqVae, AMapsPlacesAreTheTokensAndAVectorIsCutIntoAsManyAsAsked) {
  QuantizerSteps steps;
  auto step = steps.step(false);
  for (const auto& [network, shape] : {std::pair{"residual_conv", Shape{2, 2, 2, 3}}, std::pair{"mlp", Shape{2, 7, 3}}}) {
    const auto model = model_of(config_of(network));
    const auto level = model->quantize(pictures(2), step).at(0);
    EXPECT_EQ(level.quantization.value.sizes(), shape) << network;
    EXPECT_EQ(level.tokens.sizes(), shape) << network;
    EXPECT_FALSE(level.tokens.requires_grad());
    auto codes = shape;
    codes.back() = 1;
    EXPECT_EQ(model->codes(pictures(2)).at(0).sizes(), codes);
    EXPECT_EQ(log_likelihood(model->decode({level.quantization.value}, pictures(2))).sizes(), Shape{2});
  }
}

// A wrong order of axes would give a token a run of pixels in place of a place's channels.
TEST(VqVae, ATokenHoldsTheChannelsOfItsPlace) {
  const auto model = model_of(config_of("residual_conv"));
  const auto batch = pictures(2);
  const auto parameters = model->named_parameters();
  const auto encoder = std::dynamic_pointer_cast<Encoder>(model->named_modules()["encoder"]);
  ASSERT_TRUE(encoder);
  const auto map =
      torch::conv2d(encoder->forward(batch.at("x")).view({2, 6, 2, 2}), parameters["head.weight"], parameters["head.bias"]);
  const auto tokens = model->tokens_of(batch);
  for (int64_t y = 0; y < 2; ++y) {
    for (int64_t x = 0; x < 2; ++x) {
      expect_close(tokens.index({torch::indexing::Slice(), y, x}),
                   map.index({torch::indexing::Slice(), torch::indexing::Slice(), y, x}), 1e-6);
    }
  }
}

TEST(VqVae, ReconstructsWhatItsCodesSayAndNothingElse) {
  const auto model = model_of(config_of("residual_conv"));
  const auto batch = pictures(3);
  const auto codes = model->codes(batch).at(0);
  expect_equal(model->reconstruct(batch), model->decode_codes(codes)->mean());
  QuantizerSteps steps;
  auto step = steps.step(false);
  expect_equal(model->quantize(batch, step).at(0).quantization.indices, codes);
}

TEST(VqVae, SamplesUniformCodesAndSaysSo) {
  auto config = config_of("mlp");
  config.quantizer.set("vq", VqConfig{.codes = 1, .code_size = 3});
  const auto one = model_of(config);  // with a single code every sample is its picture
  Stream noise(3, "sample", at::kCPU);
  const auto samples = one->sample(rows_without_fields(2), 1, noise);
  expect_close(samples[0], samples[1], 1e-6);
  expect_close(samples[0], one->reconstruct(pictures(1))[0], 1e-5);
  EXPECT_EQ(one->sampled_from(), "codes drawn at random, each as likely as any other: this run has not learnt which go together");
  const auto many = model_of(config_of("mlp"));
  EXPECT_FALSE(many->sample(rows_without_fields(2), 1, noise)[0].equal(many->sample(rows_without_fields(2), 1, noise)[1]));
}

TEST(VqVae, InitialisesItsQuantiserOnTheTokensOfABatch) {
  auto config = config_of("residual_conv");
  config.quantizer.set("vq", VqConfig{.codes = 4, .code_size = 3, .init = CodebookInit::kmeans, .kmeans_iterations = 0});
  const auto model = model_of(config);
  QuantizerSteps steps;
  auto step = steps.step();
  const torch::NoGradGuard no_grad;
  model->initialise(pictures(4), step);
  const auto rows = to_rows(model->tokens_of(pictures(4)));
  const auto distance = (rows.unsqueeze(0) - model->quantizers().at(0)->codebook().unsqueeze(1)).abs().sum(-1);
  expect_close(std::get<0>(distance.min(1)), 0, 0, 1e-6);
}

TEST(VqVae, ADecoderThatNeedsAMapIsRefusedBehindANetworkWithoutOne) {
  auto config = config_of("mlp");
  config.decoder.set("residual_conv", ResidualConvConfig{.channels = {4, 6}, .residual_blocks = 0});
  std::string message;
  try {
    model_of(config);
  } catch (const ConfigError& error) {
    message = error.what();
  }
  EXPECT_NE(message.find("starts from a map of 2 x 2, which 21 latents do not fill evenly"), std::string::npos) << message;
}

TEST(VqVae, NamesItsPartsAsTorchWould) {
  std::vector<std::string> names;
  for (const auto& item : model_of(config_of("residual_conv"))->named_parameters()) names.push_back(item.key());
  EXPECT_EQ(names, (std::vector<std::string>{"encoder.convs.0.weight", "encoder.convs.0.bias", "encoder.convs.1.weight",
                                             "encoder.convs.1.bias", "encoder.convs.2.weight", "encoder.convs.2.bias",
                                             "head.weight", "head.bias", "quantizer.codes", "decoder.convs.0.weight",
                                             "decoder.convs.0.bias", "decoder.convs.1.weight", "decoder.convs.1.bias",
                                             "decoder.output.weight", "decoder.output.bias"}));
  EXPECT_EQ(model_of(config_of("residual_conv"))->summary(), "1x8x8-4c-6c | 2x2 codes of vq 5 | 3x2x2-6c-4c-1x8x8");
}

}  // namespace elbo::vq_vae_test
