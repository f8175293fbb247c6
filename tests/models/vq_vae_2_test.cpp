#include "elbo/models/vq_vae_2.h"

#include <cmath>

#include "elbo/base/error.h"
#include "elbo/nn/mlp.h"
#include "elbo/nn/residual_conv.h"
#include "elbo/quantizers/ema.h"
#include "elbo/quantizers/gumbel.h"
#include "elbo/quantizers/vq.h"
#include "quantizers/quantizer_steps.h"
#include "support/gradients.h"

namespace elbo::vq_vae_2_test {

EncoderChoice encoder_of(std::vector<int64_t> channels) {
  EncoderChoice choice{encoders, "residual_conv"};
  choice.set("residual_conv", ResidualConvConfig{.channels = std::move(channels), .residual_blocks = 1, .residual_channels = 4});
  return choice;
}
DecoderChoice decoder_of(std::vector<int64_t> channels) {
  DecoderChoice choice{decoders, "residual_conv"};
  choice.set("residual_conv", ResidualConvConfig{.channels = std::move(channels), .residual_blocks = 1, .residual_channels = 4});
  return choice;
}
VqVae2LevelConfig level_of(std::vector<int64_t> channels, int64_t codes, int64_t code_size) {
  VqVae2LevelConfig level{encoder_of(channels), decoder_of(channels)};
  level.quantizer.set("ema", EmaConfig{.codes = codes, .code_size = code_size});
  return level;
}
VqVae2Config small_config() { return {.bottom = level_of({6}, 16, 4), .top = level_of({6}, 8, 3)}; }

DataSpec images_of(int64_t side) { return {{"x", {.shape = {1, side, side}, .kind = ValueKind::binary}}}; }

std::shared_ptr<VqVae2> model_of(const VqVae2Config& config, int64_t side) {
  const auto spec = images_of(side);
  Stream init(1, "init", at::kCPU);
  return std::make_shared<VqVae2>(config, ModelContext{.spec = spec, .init = init});
}

/// Rows and columns of random bars.
Batch bars(int64_t B, int64_t side, int64_t step = 0) {
  Stream stream(5, "data", at::kCPU);
  stream.rekey(step);
  const auto across = stream.uniform({B}, {1, side, 1}).lt(0.2), down = stream.uniform({B}, {1, 1, side}).lt(0.2);
  return {.fields = {{"x", {.value = across.logical_xor(down).to(torch::kFloat)}}}, .index = torch::arange(B)};
}

Tensor parameter_of(torch::nn::Module& module, const std::string& name) {
  const auto parameters = module.named_parameters();
  const auto* found = parameters.find(name);
  if (!found) throw std::out_of_range("no parameter " + name);
  return *found;
}

std::vector<Tensor> values_of(const std::vector<CodeLevel>& levels) {
  std::vector<Tensor> all;
  for (const auto& level : levels) all.push_back(level.quantization.value);
  return all;
}

TEST(VqVae2, LevelsAreNamedFromTheTopAndHaveTheirOwnSizes) {
  const auto model = model_of(small_config(), 16);
  QuantizerSteps steps;
  auto step = steps.step();
  const auto levels = model->quantize(bars(2, 16), step);
  ASSERT_EQ(levels.size(), 2U);
  EXPECT_EQ(levels[0].name, "top");
  EXPECT_EQ(levels[0].quantization.value.sizes(), (Shape{2, 4, 4, 3}));
  EXPECT_EQ(levels[0].quantization.indices.sizes(), (Shape{2, 4, 4, 1}));
  EXPECT_EQ(levels[1].name, "bottom");
  EXPECT_EQ(levels[1].quantization.value.sizes(), (Shape{2, 8, 8, 4}));
  EXPECT_EQ(levels[1].tokens.sizes(), (Shape{2, 8, 8, 4}));
  EXPECT_EQ(model->quantizers().at(0)->code_space().sizes, Shape{8});
  EXPECT_EQ(model->quantizers().at(1)->code_space().sizes, Shape{16});
  EXPECT_EQ(model->family(), "quantized");
  EXPECT_EQ(model->summary(), "1x16x16-6c-1r | top 4x4 codes of ema, bottom 8x8 codes of ema | 7x8x8-1r-6c-1x16x16");
  parameter_of(*model, "top.encoder.convs.0.weight");
  parameter_of(*model, "bottom.head.weight");
  parameter_of(*model, "top.up.0.weight");
}

TEST(VqVae2, DecodingTheCodesIsTheForwardPassInEvaluation) {
  for (const bool three_levels : {false, true}) {
    auto config = small_config();
    if (three_levels) config.middle = {level_of({5}, 9, 2)};
    const auto model = model_of(config, 16);
    const auto batch = bars(3, 16);
    QuantizerSteps steps;
    const torch::NoGradGuard no_grad;
    auto step = steps.step(false);
    model->initialise(batch, step);
    const auto levels = model->quantize(batch, step);
    const auto codes = model->codes(batch);
    ASSERT_EQ(codes.size(), levels.size());
    for (size_t i = 0; i < codes.size(); ++i) {
      SCOPED_TRACE(levels[i].name);
      expect_equal(codes[i], levels[i].quantization.indices);
      EXPECT_GT(std::get<0>(torch::_unique2(codes[i])).numel(), 1);
    }
    const auto decoded = model->decode(values_of(levels), batch);
    expect_equal(model->decode_codes(codes)->mean(), decoded[0].likelihood->mean());
    expect_equal(model->reconstruct(batch), decoded[0].likelihood->mean());
    EXPECT_EQ(decoded[0].target.sizes(), (Shape{3, 1, 16, 16}));
  }
}

// 32 x 32 and 64 x 64 codes out of 512 of a picture of 256 x 256.
TEST(VqVae2, TheRateIsTheCodesBitsOfAllLevels) {
  const VqVae2Config config{.bottom = level_of({2, 2}, 512, 2), .top = level_of({2}, 512, 2)};
  const auto model = model_of(config, 256);
  const auto codes = model->codes(bars(1, 256));
  const auto quantizers = model->quantizers();
  double bits = 0;
  for (size_t i = 0; i < codes.size(); ++i) bits += quantizers[i]->code_length(codes[i]).item<double>() / std::log(2.0);
  EXPECT_NEAR(bits, 46'080, 0.01);
}

TEST(VqVae2, TheBottomsGradientReachesTheTopsEncoderAndDecoder) {
  const auto model = model_of(small_config(), 16);
  QuantizerSteps steps;
  auto step = steps.step();
  const auto levels = model->quantize(bars(4, 16), step);
  const auto bottom = (levels[1].quantization.value * wavy({4, 8, 8, 4}).to(torch::kFloat)).sum();
  for (const auto* name : {"top.encoder.convs.0.weight", "top.head.weight", "top.decoder.output.weight", "bottom.head.weight"}) {
    SCOPED_TRACE(name);
    const auto gradient = gradient_of(bottom, parameter_of(*model, name));
    ASSERT_TRUE(gradient.defined());
    EXPECT_GT(gradient.abs().max().item<double>(), 1e-6);
  }
}

TEST(VqVae2, EachLevelsCodesMatterForTheImage) {
  const auto model = model_of(small_config(), 16);
  const auto codes = model->codes(bars(2, 16));
  const auto image = model->decode_codes(codes)->mean();
  for (size_t i = 0; i < codes.size(); ++i) {
    auto changed = codes;
    changed[i] = (codes[i] + 1) % 8;
    EXPECT_GT((model->decode_codes(changed)->mean() - image).abs().max().item<double>(), 1e-6) << i;
  }
}

TEST(VqVae2, InitialisingLooksAtTheTokensThatTheLevelAboveLeaves) {
  auto config = small_config();
  for (auto* level : {&config.bottom, &config.top}) {
    level->quantizer.set("vq", VqConfig{.codes = 4, .code_size = 3, .init = CodebookInit::kmeans, .kmeans_iterations = 0});
  }
  const auto model = model_of(config, 16);
  const auto batch = bars(4, 16);
  QuantizerSteps steps;
  auto step = steps.step();
  {
    const torch::NoGradGuard no_grad;
    model->initialise(batch, step);
  }
  for (const auto& level : model->quantize(batch, step)) {  // every code is a token of this batch
    const auto tokens = level.tokens.reshape({-1, 3});
    const auto codes = model->quantizers().at(level.name == "top" ? 0 : 1)->codebook();
    expect_close(std::get<0>(torch::cdist(codes, tokens).min(1)), 0.0, 0, 1e-3);
  }
}

TEST(VqVae2, LevelsMayHaveDifferentQuantisers) {
  auto config = small_config();
  config.top.quantizer.set("gumbel", GumbelConfig{.codes = 8, .code_size = 3, .input_size = 5});
  const auto model = model_of(config, 16);
  QuantizerSteps steps;
  auto step = steps.step();
  const auto levels = model->quantize(bars(2, 16), step);
  EXPECT_TRUE(has_term(levels[0].quantization, "kl"));
  EXPECT_TRUE(has_term(levels[1].quantization, "commitment"));
  EXPECT_EQ(levels[0].tokens.size(-1), 5);
}

template <class F>
std::string message_of(const F& function) {
  try {
    function();
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "no error";
}

TEST(VqVae2, SaysWhatItCannotRead) {
  const DataSpec rows = {{"x", {.shape = {12}}}};
  Stream init(1, "init", at::kCPU);
  EXPECT_EQ(message_of([&] { VqVae2(small_config(), {.spec = rows, .init = init}); }),
            "model 'vq_vae_2' reads images, but x has shape [12]; use 'vq_vae'");
  auto config = small_config();
  config.top.encoder.set("mlp");
  EXPECT_EQ(message_of([&] { model_of(config, 16); }),
            "model.top.encoder: 'mlp' leaves no map of places; use one that does (residual_conv)");
}

/// Light and dark blocks of 4 x 4 pixels with a fine texture on them.
Batch blocks(int64_t B, int64_t step) {
  Stream stream(6, "data", at::kCPU);
  stream.rekey(step);
  const auto coarse = stream.uniform({B}, {1, 4, 4}).lt(0.5).to(torch::kFloat);
  const auto fine = stream.uniform({B}, {1, 8, 8}).lt(0.5).to(torch::kFloat);
  const auto x =
      0.7 * coarse.repeat_interleave(4, 2).repeat_interleave(4, 3) + 0.3 * fine.repeat_interleave(2, 2).repeat_interleave(2, 3);
  return {.fields = {{"x", {.value = x}}}, .index = torch::arange(B)};
}

// The bottom has one bit a place, enough for the texture alone.
TEST(SlowVqVae2, TheTopAloneShowsLessThanBothLevelsAndMoreThanNothing) {
  const VqVae2Config config{.bottom = level_of({8}, 2, 1), .top = level_of({8}, 16, 4)};
  const auto model = model_of(config, 16);
  QuantizerSteps steps;
  torch::optim::Adam adam(model->parameters(), torch::optim::AdamOptions(3e-3));
  auto step = steps.step();
  {
    const torch::NoGradGuard no_grad;
    model->initialise(blocks(32, 0), step);
  }
  for (int64_t i = 0; i < 400; ++i) {
    const auto batch = blocks(32, i);
    const auto levels = model->quantize(batch, step);
    auto loss = -log_likelihood(model->decode(values_of(levels), batch)).sum();
    for (const auto& level : levels) loss = loss + weighted_loss(level.quantization);
    adam.zero_grad();
    (loss / 32).backward();
    adam.step();
    for (auto* quantizer : model->quantizers()) steps.after_step(*quantizer);
  }
  const torch::NoGradGuard no_grad;
  const auto batch = blocks(256, 10'000);
  auto evaluation = steps.step(false);
  auto values = values_of(model->quantize(batch, evaluation));
  const auto error = [&] {
    return (model->decode(values, batch)[0].likelihood->mean() - batch.at("x")).square().mean().item<double>();
  };
  const double both = error(), variance = batch.at("x").var().item<double>();
  values[1].zero_();
  const double top = error();
  std::cout << "MSE both " << both << ", top " << top << ", variance " << variance << "\n";
  EXPECT_LT(both, 0.3 * variance);
  EXPECT_GT(top, both);
  EXPECT_LT(top, variance);
}

}  // namespace elbo::vq_vae_2_test
