#include "elbo/models/asymmetric_vae.h"

#include "elbo/base/error.h"
#include "elbo/nn/shuffle.h"
#include "elbo/quantizers/tokens.h"
#include "models/enlarged_codes.h"

// The second stage on a quantised base; on a VAE: tests/objectives/lower_bound_guided_test.cpp.
namespace elbo::asymmetric_codes_test {

Decoder& decoder_of(Model& model) { return dynamic_cast<Decoder&>(*model.named_children()["decoder"]); }

std::string refusal(const std::function<void()>& act) {
  try {
    act();
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "accepted";
}

TEST(AsymmetricVaeOnCodes, StartsAsTheNearestNeighboursEnlargementOfTheBasesFeatures) {
  const torch::NoGradGuard no_grad;
  const auto base = enlarged_codes::base();
  base->eval();
  const auto model = enlarged_codes::model(base);
  const auto batch = enlarged_codes::batch();
  const auto z = model->encode(batch);
  auto& decoder = decoder_of(*base);
  const auto nearest = torch::upsample_nearest2d(decoder.features(z), {16, 16});
  expect_equal(model->decode(z)->mean(), decoder.output(nearest));
  expect_equal(decoder.output(decoder.features(z)), base->reconstruct(batch));
  const auto other = enlarged_codes::model(base, EnlargingHead::shuffle_dup);
  expect_equal(other->decode(z)->mean(), decoder.output(shuffle_repeat(decoder.features(z))));
  EXPECT_EQ(model->reconstruct(batch).sizes(), batch.at("target").sizes());
}

TEST(AsymmetricVaeOnCodes, TheCodeIsTheQuantisedMapOfTheTargetsMeans) {
  const torch::NoGradGuard no_grad;
  const auto base = enlarged_codes::base();
  const auto model = enlarged_codes::model(base);
  const auto batch = enlarged_codes::batch();
  const auto z = model->encode(batch);
  const auto map = to_map(base->quantizers()[0]->decode(base->codes(batch)[0]));
  EXPECT_EQ(map.sizes(), (Shape{4, 4, 4, 4}));
  expect_equal(z, map.flatten(1));
  expect_close(model->floor(z), torch::upsample_bicubic2d(base->reconstruct(batch), {16, 16}, /*align_corners=*/false), 1e-6);
  QuantizerSteps kit;
  const auto drawn = model->sample(rows_without_fields(3), 1, kit.noise);
  EXPECT_EQ(drawn.sizes(), (Shape{3, 1, 16, 16}));
  EXPECT_FALSE(drawn[0].equal(drawn[1]));
  EXPECT_EQ(model->sampled_from(), kRandomCodes);
}

// Codebook, its counts and every other buffer of the base stay; training moves the decoder alone.
TEST(AsymmetricVaeOnCodes, TrainsItsDecoderAlone) {
  const auto base = enlarged_codes::base();
  const auto model = enlarged_codes::model(base);
  model->train();
  EXPECT_FALSE(base->quantizers()[0]->is_training());
  for (const auto& item : model->named_parameters()) {
    EXPECT_EQ(item.value().requires_grad(), item.key().starts_with("decoder.")) << item.key();
  }
  EXPECT_FALSE(model->code(enlarged_codes::batch().at("target")).requires_grad());
  EXPECT_TRUE(model->output_weight().is_same(model->named_parameters()["decoder.output.weight"]));
}

/// Multiplications of the vqgan decoder of pictures `side` high, reckoned from its weights.
struct Multiplications {
  Multiplications(const VqganNetworkConfig& config, int64_t side) {
    const auto inner = side >> (config.multipliers.size() - 1);
    Stream init(1, "init", at::kCPU);
    const auto decoder = make_vqgan_decoder(
        config,
        {.latent_size = 4 * inner * inner, .latent_map = {4, inner, inner}, .output_shape = {3, side, side}, .init = init});
    for (const auto& item : decoder->named_parameters()) {
      if (item.value().dim() != 4) continue;
      const auto& name = item.key();
      const auto place = name.find("sizes.") == 0 ? (name[6] - '0') + (name.find("resize") != std::string::npos ? 1 : 0) : 0;
      const auto height = name.starts_with("output") ? side : inner << place;
      const auto places = static_cast<double>(height * height);
      const auto weights = static_cast<double>(item.value().numel()) * places;
      (name.starts_with("output") ? output : trunk) += weights;
      if (name.ends_with("qkv.weight")) trunk += 2 * places * places * static_cast<double>(item.value().size(1));
    }
  }
  double trunk = 0;
  double output = 0;
};

// The trunk works at half the size: three doublings, as the published latents have, and pictures of 128 x 128.
TEST(AsymmetricVaeOnCodes, DecodesForLessThanAThirdOfTheBasesCostAtTheSameSize) {
  const VqganNetworkConfig config{.channels = 32, .multipliers = {1, 2, 2, 4}};
  const Multiplications base_at_double_size(config, 128), half(config, 64);
  EXPECT_GT(half.trunk, 10 * half.output);
  EXPECT_LT(half.trunk + 4 * half.output, 0.35 * (base_at_double_size.trunk + base_at_double_size.output));
  EXPECT_GT(half.trunk + 4 * half.output, 0.2 * (base_at_double_size.trunk + base_at_double_size.output));
}

TEST(AsymmetricVaeOnCodes, SaysWhatItNeeds) {
  auto spec = enlarged_codes::spec();
  spec.at("target").shape = {1, 32, 32};
  EXPECT_EQ(refusal([&] { enlarged_codes::model(enlarged_codes::base(), EnlargingHead::dup_shuffle, spec); }),
            "model 'asymmetric_vae' gives pictures twice as high and wide as what its base reads; x is [1, 8, 8], target is "
            "[1, 32, 32]");
  spec.erase("target");
  EXPECT_EQ(refusal([&] { enlarged_codes::model(enlarged_codes::base(), EnlargingHead::dup_shuffle, spec); }),
            "model 'asymmetric_vae' gives back the field target, which this data set does not have; data.coarse: 2 makes it of "
            "pictures");
  EXPECT_EQ(refusal([] { enlarged_codes::model(enlarged_codes::model(enlarged_codes::base())); }),
            "model 'asymmetric_vae' needs a base that encodes and decodes (vae, vq_vae); this one is asymmetric");
}

}  // namespace elbo::asymmetric_codes_test
