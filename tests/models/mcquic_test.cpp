#include "elbo/models/mcquic.h"

#include <gmock/gmock.h>

#include <cmath>

#include "elbo/base/error.h"
#include "elbo/distributions/normal_likelihood.h"
#include "elbo/quantizers/mcquic.h"
#include "quantizers/quantizer_steps.h"

namespace elbo::mcquic_model_test {

constexpr int64_t kChannels = 8;

McquicLevelConfig level(int64_t codes, int64_t size = kChannels, int64_t groups = 2) {
  McquicLevelConfig config;
  config.quantizer.set("mcquic", McquicQuantizerConfig{.codes = codes, .code_size = size, .groups = groups});
  return config;
}

std::shared_ptr<Mcquic> model_of(const Shape& image, int64_t halvings, std::vector<McquicLevelConfig> levels,
                                 int64_t channels = kChannels) {
  McquicConfig config{.channels = channels, .halvings = halvings, .levels = std::move(levels)};
  config.likelihood.set("normal", NormalLikelihoodConfig{});
  QuantizerSteps steps;
  const DataSpec spec = {{"x", {.shape = image, .kind = ValueKind::unit}}};
  auto model = std::make_shared<Mcquic>(config, ModelContext{.spec = spec, .init = steps.init});
  for (auto* quantizer : model->quantizers()) {
    for (auto& number : quantizer->scheduled()) number.refill({.step = 0, .steps_per_epoch = 1, .total_steps = 1});
  }
  return model;
}

Batch images(const Shape& image, int64_t B = 3) {
  return {.fields = {{"x", {.value = wavy(joined({B}, image), 0.3).abs().to(torch::kFloat)}}}, .index = torch::arange(B)};
}

TEST(Mcquic, CodesComeDeepestFirstAndDecodeToWhatEvaluationSays) {
  const Shape image = {3, 16, 16};
  const auto model = model_of(image, 1, {level(12), level(10), level(6)});
  EXPECT_EQ(model->summary(), "3x16x16 | level_1 4x4 codes of mcquic, level_2 2x2 codes of mcquic, level_3 1x1 codes of mcquic");
  const auto batch = images(image);
  const auto codes = model->codes(batch);
  ASSERT_EQ(codes.size(), 3U);
  EXPECT_EQ(codes[0].sizes(), Shape({3, 1, 1, 2}));
  EXPECT_EQ(codes[1].sizes(), Shape({3, 2, 2, 2}));
  EXPECT_EQ(codes[2].sizes(), Shape({3, 4, 4, 2}));
  EXPECT_EQ(model->quantizers()[0]->code_space().sizes[0], 6);
  EXPECT_EQ(model->quantizers()[2]->code_space().sizes[0], 12);
  QuantizerSteps steps;
  auto step = steps.step(false);
  const auto levels = model->quantize(batch, step);
  std::vector<Tensor> values;
  for (size_t i = 0; i < 3; ++i) {
    expect_equal(levels[i].quantization.indices, codes[i]);
    values.push_back(levels[i].quantization.value);
  }
  EXPECT_EQ(levels[0].name, "level_3");
  expect_equal(model->decode(values, batch)[0].likelihood->mean(), model->reconstruct(batch));
  expect_equal(model->decode_codes(codes)->mean(), model->reconstruct(batch));
  // An example's codes are its own.
  const Batch one{.fields = {{"x", {.value = batch.at("x").narrow(0, 1, 1)}}}, .index = torch::zeros({1}, torch::kLong)};
  for (size_t i = 0; i < 3; ++i) expect_equal(model->codes(one)[i], codes[i].narrow(0, 1, 1));
}

// The next level reads what the codes leave over: of the features less the chosen code.
TEST(Mcquic, ADeeperLevelReadsTheResidual) {
  const Shape image = {1, 8, 8};
  const auto model = model_of(image, 0, {level(12), level(6)});
  const auto batch = images(image);
  QuantizerSteps steps;
  auto step = steps.step(false);
  const auto before = model->quantize(batch, step);
  // Any shift of the finest codes that is made up for by the carry's bias leaves the rest alone, though not the finest's choice:
  // so move queries and codes alike.
  const torch::NoGradGuard no_grad;
  auto parameters = model->named_parameters();
  parameters["level_1.quantizer.codes"].add_(0.25);
  parameters["level_1.query.1.conv.bias"].add_(0.25);
  const auto shifted = model->quantize(batch, step);
  expect_equal(shifted[1].quantization.indices, before[1].quantization.indices);
  EXPECT_GT((shifted[0].tokens - before[0].tokens).abs().max().item<double>(), 1e-3) << "the residual has moved";
  parameters["level_1.carry.1.conv.bias"].add_(0.25);
  expect_close(model->quantize(batch, step)[0].tokens, before[0].tokens, 1e-3, 1e-4);
}

TEST(Mcquic, SidesThatTheHalvingsDoNotDivideAreContinued) {
  const Shape image = {1, 6, 7};
  const auto model = model_of(image, 0, {level(12), level(6)});
  const auto batch = images(image);
  EXPECT_EQ(model->codes(batch)[1].sizes(), Shape({3, 4, 4, 2}));
  EXPECT_EQ(model->reconstruct(batch).sizes(), Shape({3, 1, 6, 7}));
  Stream noise(1, "noise", at::kCPU);
  EXPECT_EQ(model->sample({.fields = {}, .index = torch::arange(2)}, 1, noise).sizes(), Shape({2, 1, 6, 7}));
}

// The published rate of 2 groups, 0.1277 bits a pixel with the file's header, and the larger model's of 12.
TEST(Mcquic, PublishedLevelsTakeThePublishedBits) {
  const Shape image = {3, 64, 64};
  const auto bits_a_pixel = [&](int64_t channels, int64_t groups) {
    std::vector<McquicLevelConfig> levels;
    for (const int64_t codes : {8192, 2048, 512}) levels.push_back(level(codes, channels, groups));
    const auto model = model_of(image, 3, std::move(levels), channels);
    const auto codes = model->codes(images(image, 1));
    const auto quantizers = model->quantizers();
    double nats = 0;
    for (size_t i = 0; i < codes.size(); ++i) nats += quantizers[i]->code_length(codes[i]).item<double>();
    return nats / std::log(2) / (64 * 64);
  };
  EXPECT_NEAR(bits_a_pixel(kChannels, 2), 0.12744, 1e-5);
  EXPECT_NEAR(bits_a_pixel(12, 12), 0.7646, 5e-5);
}

TEST(Mcquic, EveryParameterLearns) {
  const Shape image = {1, 8, 8};
  const auto model = model_of(image, 0, {level(12), level(6)});
  QuantizerSteps steps;
  auto step = steps.step();
  const auto batch = images(image);
  std::vector<Tensor> values;
  Tensor loss = torch::zeros({});
  for (const auto& found : model->quantize(batch, step)) {
    values.push_back(found.quantization.value);
    for (const auto& term : found.quantization.terms) loss = loss + term.value.sum();
  }
  (loss - log_likelihood(model->decode(values, batch)).sum()).backward();
  for (const auto& item : model->named_parameters()) {
    ASSERT_TRUE(item.value().grad().defined()) << item.key();
    EXPECT_TRUE(item.value().grad().ne(0).any().item<bool>()) << item.key();
  }
  EXPECT_TRUE(model->output_weight().is_same(model->named_parameters()["decoder.1.conv.weight"]));
}

TEST(Mcquic, SaysWhatDoesNotFit) {
  const auto message = [](const auto& make) -> std::string {
    try {
      make();
    } catch (const ConfigError& error) {
      return error.what();
    }
    return "no error";
  };
  EXPECT_EQ(
      message([] {
        model_of({1, 8, 8}, 0, {level(12, 6)});
      }),
      "model.levels.0.quantizer: quantizer 'mcquic' reads tokens of 6 numbers and gives 6, the maps have model.channels: 8; "
      "make them equal (code_size)");
  EXPECT_EQ(message([] { model_of({64}, 0, {level(12)}); }), "model 'mcquic' reads images, but x has shape [64]; use 'vq_vae'");
}

}  // namespace elbo::mcquic_model_test
