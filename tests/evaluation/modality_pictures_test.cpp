#include "elbo/evaluation/modality_pictures.h"

#include "../../src/evaluation/glyphs.h"
#include "elbo/aggregators/moe.h"
#include "elbo/aggregators/unimodal.h"
#include "elbo/models/multimodal_vae.h"
#include "fakes.h"
#include "support/linear_bed.h"
#include "tuples.h"

namespace elbo::modality_pictures_test {

constexpr int kSide = 84, kStep = 86, kGround = 64;

const DataSpec& spec() {
  static const DataSpec kSpec = {{"x", {.shape = {1, 8, 8}, .kind = ValueKind::binary}},
                                 {"label", {.shape = {}, .kind = ValueKind::category, .num_classes = 12}}};
  return kSpec;
}

std::shared_ptr<MultimodalVae> model_of(const AggregatorChoice& aggregation) {
  MultimodalVaeConfig config;
  config.latent_size = 2;
  config.aggregation = aggregation;
  config.modalities["image"].field = "x";
  config.modalities["label"].likelihood.set("categorical");
  Stream init(1, "init", at::kCPU);
  auto model = std::make_shared<MultimodalVae>(config, ModelContext{.spec = spec(), .init = init});
  model->eval();
  return model;
}

Batch rows(int64_t B) {
  return {
      .fields = {{"x", {.value = (wavy({B, 1, 8, 8}) > 0).to(at::kFloat)}}, {"label", {.value = torch::arange(B).remainder(12)}}},
      .index = torch::arange(B)};
}

int grey(const Image& image, int x, int y) {
  return image.pixels.at(static_cast<size_t>((y * image.width + x) * image.channels));
}

/// [N, 1, 8, 8], the i-th all (i + first) / 255.
Tensor flat(int64_t N, int64_t first) { return ((torch::arange(N) + first) / 255.0).view({N, 1, 1, 1}).expand({N, 1, 8, 8}); }

TEST(Glyphs, AreDrawnPixelByPixel) {
  Image image{.width = 14, .height = 9, .channels = 1, .pixels = std::vector<uint8_t>(14 * 9, 0)};
  detail::draw_text(image, 1, 1, "1L", 1, 9);
  std::string drawn;
  for (int y = 0; y < 9; ++y) {
    for (int x = 0; x < 14; ++x) drawn += grey(image, x, y) ? '#' : '.';
    drawn += '\n';
  }
  EXPECT_EQ(drawn,
            "..............\n"
            "...#....##....\n"
            "..##.....#....\n"
            "...#.....#....\n"
            "...#.....#....\n"
            "...#.....#....\n"
            "...#.....#....\n"
            "..###...###...\n"
            "..............\n");
  EXPECT_EQ(detail::text_width("1L", 3), 33);
  detail::draw_text(image, 12, 6, "88", 4, 9);  // cut off at the edge
}

TEST(ModalityValues, AreMeansAndTheMostProbableClass) {
  const auto model = model_of(aggregation("moe"));
  const torch::NoGradGuard no_grad;
  GranuleNoise noise(1), same(1);
  const auto batch = rows(5);
  const auto shown =
      conditional_samples(*model, spec(), {.fields = {{"x", batch.fields.at("x")}}, .index = batch.index}, 1, noise);
  auto whole = batch;
  whole.fields["label"].value = torch::full({5}, 7);  // not given, so not read
  const auto latents = model->condition(whole, {"image"}, 1, same);
  const auto observations = model->decode(latents, whole, {"image", "label"});
  expect_close(shown.at("image"), observations[0].likelihood->mean()[0], 1e-6);
  expect_equal(shown.at("label"), observations[1].likelihood->mode()[0]);
  EXPECT_EQ(shown.at("image").sizes().vec(), (Shape{5, 1, 8, 8}));
  EXPECT_EQ(shown.at("label").sizes().vec(), Shape{5});
}

TEST(ModalityValues, AtTemperatureZeroAreOfThePosteriorsMean) {
  const auto model = model_of(aggregation("moe"));
  const torch::NoGradGuard no_grad;
  const Batch given{.fields = {{"label", rows(4).fields.at("label")}}, .index = torch::arange(4)};
  GranuleNoise a(1), b(2);
  const auto cold = conditional_samples(*model, spec(), given, 0, a).at("image");
  expect_equal(cold, conditional_samples(*model, spec(), given, 0, b).at("image"));
  auto latents = model->posterior(given, model->experts(given, {"label"}));
  latents.layers[0].z = latents.layers[0].q->mean().unsqueeze(0);
  expect_close(cold, model->decode(latents, given, {"image"})[0].likelihood->mean()[0], 1e-6);
}

TEST(CrossGeneration, IsFromEachModalityAloneAndFromAll) {
  const auto model = model_of(aggregation("moe"));
  auto batch = rows(3);
  GranuleNoise noise(1), again(1);
  const auto crossing = cross_generation(*model, spec(), batch, noise);
  ASSERT_EQ(crossing.generated.size(), 3u);
  EXPECT_EQ(crossing.generated[0].first, (Subset{"image"}));
  EXPECT_EQ(crossing.generated[1].first, (Subset{"label"}));
  EXPECT_EQ(crossing.generated[2].first, (Subset{"image", "label"}));
  batch.fields["x"].value = torch::zeros_like(batch.fields["x"].value);
  const auto other = cross_generation(*model, spec(), batch, again);
  expect_equal(other.generated[1].second.at("image"), crossing.generated[1].second.at("image"));
  EXPECT_FALSE(other.generated[0].second.at("image").equal(crossing.generated[0].second.at("image")));
}

TEST(CrossGeneration, LeavesOutWhatCannotBeGiven) {
  const auto model = model_of(aggregation("unimodal", UnimodalConfig{.modality = "label"}));
  GranuleNoise noise(1);
  const auto crossing = cross_generation(*model, spec(), rows(3), noise);
  ASSERT_EQ(crossing.generated.size(), 2u);
  EXPECT_EQ(crossing.generated[0].first, (Subset{"label"}));
  const Batch given{.fields = {{"x", rows(2).fields.at("x")}}, .index = torch::arange(2)};
  EXPECT_EQ(fakes::message_of([&] { conditional_samples(*model, spec(), given, 1, noise); }),
            "there is no q(z | image): aggregation 'unimodal' encodes label");
}

TEST(CrossGenerationGrid, HasABlockASourceAndAColumnATarget) {
  const auto model = model_of(aggregation("moe"));
  CrossGeneration crossing{.originals = {{"image", flat(2, 10)}, {"label", torch::tensor({3, 4})}}};
  crossing.generated = {{{"image"}, {{"image", flat(2, 20)}, {"label", torch::tensor({1, 1})}}},
                        {{"label"}, {{"image", flat(2, 30)}, {"label", torch::tensor({2, 2})}}},
                        {{"image", "label"}, {{"image", flat(2, 40)}, {"label", torch::tensor({5, 5})}}}};
  const auto grid = cross_generation_grid(*model, spec(), crossing);
  constexpr int kTitle = 18, kLeft = 2 + kStep + 12, kBlock = kTitle + 2 * kStep + 2, kMiddle = kSide / 2;
  EXPECT_EQ(grid.width, kLeft + 2 * kStep);
  EXPECT_EQ(grid.height, 2 * kBlock);
  EXPECT_EQ(grey(grid, 2 + kMiddle, kTitle + kMiddle), 10);
  EXPECT_EQ(grey(grid, 2 + kMiddle, kTitle + kStep + kMiddle), 11);
  EXPECT_EQ(grey(grid, kLeft + kMiddle, kTitle + kMiddle), 20);
  EXPECT_EQ(grey(grid, kLeft + kMiddle, kTitle + kStep + kMiddle), 21);
  EXPECT_EQ(grey(grid, kLeft + kMiddle, kBlock + kTitle + kMiddle), 30);
  EXPECT_EQ(grey(grid, kLeft + kStep + 4, kTitle + 4), 0);  // a class is white on black
  EXPECT_EQ(grey(grid, 2 + kStep + 5, kTitle + kMiddle), kGround);
}

TEST(ModalityGrid, HasWhatWasGivenOnTheLeftAndABlockATurn) {
  const auto model = model_of(aggregation("moe"));
  const ModalityValues given = {{"image", flat(2, 100)}};
  const ModalityValues drawn = {{"image", flat(5, 0)}, {"label", torch::zeros({5}, at::kLong)}};
  const auto grid = modality_grid(*model, spec(), given, drawn, 2);
  constexpr int kLeft = 2 + 2 * kStep + 12, kBlock = 2 * kStep + 12, kMiddle = kSide / 2;
  EXPECT_EQ(grid.width, kLeft + 3 * kStep);
  EXPECT_EQ(grid.height, 12 + 2 * kBlock);
  for (int turn = 0; turn < 2; ++turn) {
    const int y = 12 + turn * kBlock + kMiddle;
    EXPECT_EQ(grey(grid, 2 + kStep + kMiddle, y), 100 + turn);
    for (int i = 0; 2 * i + turn < 5; ++i) EXPECT_EQ(grey(grid, kLeft + i * kStep + kMiddle, y), 2 * i + turn);
  }
  EXPECT_EQ(grey(grid, kLeft + 2 * kStep + kMiddle, 12 + kBlock + kMiddle), kGround);  // the second turn has but two rows
  EXPECT_EQ(modality_grid(*model, spec(), {}, drawn).width, 2 + kStep + 12 + 5 * kStep);
  EXPECT_EQ(fakes::message_of([&] {
              modality_grid(*model, spec(), {}, {{"image", flat(1025, 0)}, {"label", torch::zeros({1025}, at::kLong)}});
            }),
            "a picture of 1025 draws of 2 modalities is too large; draw at most 1024");
}

TEST(ModalityGrid, ShowsAClassByItsNumber) {
  const auto model = model_of(aggregation("moe"));
  const auto grid = modality_grid(*model, spec(), {}, {{"image", flat(2, 0)}, {"label", torch::tensor({1, 11})}});
  const auto columns_with_ink = [&](int tile) {
    std::string found;
    for (int x = 0; x < kSide; ++x) {
      bool any = false;
      for (int y = 0; y < kSide; ++y) any = any || grey(grid, 2 + kStep + 12 + tile * kStep + x, 12 + kStep + y) > 0;
      if (found.empty() || (found.back() == '#') != any) found += any ? '#' : '.';
    }
    return found;
  };
  EXPECT_EQ(columns_with_ink(0), ".#.");
  EXPECT_EQ(columns_with_ink(1), ".#.#.");
}

TEST(WholeRows, LackNoModality) {
  const auto model = model_of(aggregation("moe"));
  auto batch = rows(6);
  batch.fields["x"].present = torch::tensor({false, true, true, false, true, true});
  batch.fields["label"].present = torch::tensor({true, true, false, true, true, true});
  const fakes::Tuples data(batch, spec());
  expect_equal(whole_rows(*model, data, Split::test, 2).index, torch::tensor({1, 4}));
  expect_equal(whole_rows(*model, data, Split::test, 9).index, torch::tensor({1, 4, 5}));
}

}  // namespace elbo::modality_pictures_test
