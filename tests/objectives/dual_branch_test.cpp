#include "elbo/objectives/dual_branch.h"

#include <gtest/gtest.h>

#include "elbo/config/yaml.h"
#include "elbo/data/bezier_path.h"
#include "elbo/data/shapes_paths.h"
#include "elbo/models/multimodal_vae.h"
#include "elbo/objectives/elbo.h"
#include "objectives/multimodal_kit.h"
#include "support/gradients.h"

namespace elbo::dual_branch_test {

using namespace multimodal_kit;

constexpr int64_t kRows = 6, kSegments = 5, kSize = 16;
const DataSpec kPathAndImage = {{"path", {.shape = {kSegments, 8}, .kind = ValueKind::real}},
                                {"image", {.shape = {1, kSize, kSize}, .kind = ValueKind::unit, .levels = 17}}};

/// A closed path of wavy segments, float32 as data are.
Tensor wavy_path(double phase) {
  const auto controls = wavy({kSegments, 3, 2}, phase) * 0.7;
  return torch::cat({controls.flatten(1), controls.select(1, 0).roll(-1, 0)}, 1).to(torch::kFloat);
}
Batch paths_and_images(int64_t shift = 0) {
  std::vector<Tensor> paths, images;
  for (int64_t row = 0; row < kRows; ++row) {
    paths.push_back(wavy_path(0.3 * static_cast<double>(row)).roll(shift, 0));
    images.push_back(rasterise_path(paths.back(), kSize).unsqueeze(0).to(torch::kFloat) / 16);
  }
  return {.fields = {{"path", {.value = torch::stack(paths)}}, {"image", {.value = torch::stack(images)}}},
          .index = torch::arange(kRows)};
}
std::shared_ptr<MultimodalVae> dual_model(const std::string& aggregation) {
  const std::string transformer = "{type: sequence_transformer, width: 8, layers: 1, heads: 2}", mlp = "{type: mlp, hidden: [8]}";
  const auto yaml = "{latent_size: 4, aggregation: " + aggregation + ", modalities: {path: {encoder: " + transformer +
                    ", decoder: " + transformer + ", likelihood: {type: normal, scale: 0.0707}}, image: {encoder: " + mlp +
                    ", decoder: " + mlp + ", likelihood: {type: normal, scale: 0.3, mean: sigmoid}}}}";
  Stream init(3, "init", at::kCPU);
  return std::make_shared<MultimodalVae>(read_config<MultimodalVaeConfig>(parse_yaml(yaml, "model")),
                                         ModelContext{.spec = kPathAndImage, .init = init});
}
constexpr auto kJoint = "{type: joint, unimodal_encoders: false}";

LossTerms losses_of(Objective& objective, const Batch& batch) {
  Stream noise(5, "noise", at::kCPU);
  return with_noise(objective, batch, noise);
}

TEST(ChamferDistance, IsTheMeanOfTheNearestBothWays) {
  const auto a = values({0, 0, 1, 0}, {2, 2}), b = values({0, 1}, {1, 2});
  expect_close(chamfer_distance(a, b), values({(1 + 2) / 2.0 + 1}).squeeze(0), 1e-12);
  expect_close(chamfer_distance(b, a), chamfer_distance(a, b), 1e-12);
  const auto many = wavy({3, 7, 2});
  expect_equal(chamfer_distance(many, many), torch::zeros({3}, torch::kDouble));
  expect_close(chamfer_distance(many, many + values({0.01, 0})), torch::full({3}, 2e-4, torch::kDouble), 1e-6);
  EXPECT_EQ(chamfer_distance(many.unsqueeze(1), wavy({4, 5, 2})).sizes(), Shape({3, 4}));
  expect_gradient_matches([&](const std::vector<Tensor>& x) { return chamfer_distance(x[0], x[1]); },
                          {wavy({2, 4, 2}), wavy({2, 3, 2}, 1)});
}

/// Where a closed path begins is a choice of whoever wrote it down.
TEST(ChamferDistance, APathMayBeginAnywhere) {
  const auto path = wavy_path(0.4).to(torch::kDouble), shifted = path.roll(2, 0), other = wavy_path(1.1).to(torch::kDouble);
  const auto t = torch::linspace(0.05, 0.95, 10, torch::kDouble);
  const auto points = [&](const Tensor& segments) { return points_on_path(segments, t).flatten(0, 1); };
  EXPECT_EQ(chamfer_distance(points(path), points(shifted)).item<double>(), 0);
  EXPECT_GT((path - shifted).square().sum().item<double>(), 1);
  expect_close(chamfer_distance(points(path), points(other)), chamfer_distance(points(shifted), points(other)), 1e-12);
  expect_equal(rasterise_path(path, kSize), rasterise_path(shifted, kSize));
}

TEST(DualBranch, IsTheElboAndTheWeightedDistanceOfTheCurves) {
  for (const std::string aggregation : {kJoint, "{type: poe}", "{type: moe}"}) {
    const auto model = dual_model(aggregation);
    const auto batch = paths_and_images();
    const auto elbo = losses_of(*make_elbo({.beta = scheduled_number(0.5), .samples = 2}, *model, {}), batch);
    const auto dual = losses_of(
        *make_dual_branch({.chamfer = 30, .points = 4, .beta = scheduled_number(0.5), .samples = 2}, *model, {}), batch);
    expect_close(dual.loss, elbo.loss + 30 * term(dual, "chamfer"), 1e-6);
    expect_close(term(dual, "bound"), term(elbo, "bound"), 1e-6);

    // The distance again, a row and a sample at a time.
    Stream noise(5, "noise", at::kCPU);
    const auto latents = model->infer(batch, 2, noise);
    const auto decoded = model->decode(latents, batch, {"path"}).front().likelihood->mean();  // [.., 2, B, T, 8]
    const auto flat = decoded.reshape({-1, kRows, kSegments, 8});
    const auto t = torch::tensor({0.125, 0.375, 0.625, 0.875});
    for (int64_t row = 0; row < kRows; ++row) {
      double total = 0;
      for (int64_t k = 0; k < flat.size(0); ++k) {
        total += chamfer_distance(points_on_path(batch.at("path")[row], t).flatten(0, 1),
                                  points_on_path(flat[k][row], t).flatten(0, 1))
                     .item<double>();
      }
      EXPECT_NEAR(term(dual, "chamfer")[row].item<double>(), total / static_cast<double>(flat.size(0)), 1e-5);
    }
  }
}

TEST(DualBranch, TheDistanceTeachesTheSequenceBranchAlone) {
  const auto model = dual_model("{type: poe}");
  const auto objective = make_dual_branch({.chamfer = 1, .beta = scheduled_number(0)}, *model, {});
  const auto without = make_dual_branch({.chamfer = 0, .beta = scheduled_number(0)}, *model, {});
  const auto batch = paths_and_images();
  const auto gradients = [&](Objective& of) {
    model->zero_grad();
    losses_of(of, batch).loss.sum().backward();
    std::map<std::string, Tensor> found;
    for (const auto& item : model->named_parameters()) found[item.key()] = item.value().grad().clone();
    return found;
  };
  const auto with = gradients(*objective), plain = gradients(*without);
  EXPECT_FALSE(with.at("decoder.path.output.weight").allclose(plain.at("decoder.path.output.weight")));
  expect_equal(with.at("decoder.image.output.weight"), plain.at("decoder.image.output.weight"));
}

TEST(DualBranch, RowsWithoutAPathAddNoDistance) {
  const auto model = dual_model("{type: poe}");
  auto batch = paths_and_images();
  auto& path = batch.fields["path"];
  path.present = torch::arange(kRows).lt(4);
  path.value = path.value.clone();
  path.value.narrow(0, 4, 2).fill_(std::nan(""));
  const auto losses = losses_of(*make_dual_branch({}, *model, {}), batch);
  expect_finite(losses.loss);
  expect_equal(term(losses, "chamfer").narrow(0, 4, 2), torch::zeros({2}));
  EXPECT_GT(term(losses, "chamfer").narrow(0, 0, 4).min().item<double>(), 0);
  losses.loss.sum().backward();
  for (const auto& item : model->named_parameters()) expect_finite(item.value().grad());
}

/// A cyclic shift of the segments is another sequence of the same shape.
TEST(DualBranch, AShiftOfTheSegmentsLeavesTheImageBranchAsItIs) {
  const auto model = dual_model("{type: poe}");
  const auto before = model->experts(paths_and_images(), model->modalities());
  const auto after = model->experts(paths_and_images(2), model->modalities());
  ASSERT_EQ(before[0].name, "image");
  expect_equal(after[0].mean, before[0].mean);
  EXPECT_FALSE(after[1].mean.allclose(before[1].mean));
}

TEST(DualBranch, SaysWhatItNeeds) {
  const auto model = dual_model(kJoint);
  EXPECT_EQ(refusal([&] { make_dual_branch({.path = "paths"}, *model, {}); }),
            "this objective: 'paths' is no modality of the model, did you mean 'path'? It has image, path; set objective.path");
  const auto other = make_dual_branch({.path = "image"}, *model, {});
  EXPECT_THROW(losses_of(*other, paths_and_images()), ShapeError);
}

}  // namespace elbo::dual_branch_test
