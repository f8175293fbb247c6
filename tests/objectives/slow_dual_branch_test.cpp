#include <gtest/gtest.h>
#include <torch/optim/adam.h>

#include <iostream>

#include "elbo/base/text.h"
#include "elbo/config/yaml.h"
#include "elbo/data/bezier_path.h"
#include "elbo/data/shapes_paths.h"
#include "elbo/models/multimodal_vae.h"
#include "elbo/objectives/dual_branch.h"
#include "objectives/multimodal_kit.h"

// What pictures add to paths (Zhang et al. 2024, section 4), at a size for a core: some four minutes.

namespace elbo::slow_dual_branch_test {

using namespace multimodal_kit;

constexpr int64_t kSegments = 8, kSize = 16, kBatch = 64, kSteps = 5000, kLatents = 16;
const std::string kTransformer = "{type: sequence_transformer, width: 32, layers: 2, heads: 4}";
const std::string kPath =
    "path: {encoder: " + kTransformer + ", decoder: " + kTransformer + ", likelihood: {type: normal, scale: 0.0707}}";
const std::string kImage =
    "image: {encoder: {type: conv, channels: [16, 32], hidden: 64}, decoder: {type: conv, channels: [16, 32], hidden: 64}, "
    "likelihood: {type: normal, scale: 0.3, mean: sigmoid}}";

std::shared_ptr<Dataset> shapes() {
  static const auto data = [] {
    const auto made = make_shapes_paths({.rows = 3000, .segments = kSegments, .size = kSize}, {.seed = 1});
    made->load(at::kCPU);
    return made;
  }();
  return data;
}

struct Trained {
  std::shared_ptr<MultimodalVae> model = {};

  /// The means of q(z | all that the model knows). Shapes: [B, D].
  Tensor codes(const Batch& batch) const {
    return model->posterior(batch, model->experts(batch, model->modalities())).layers[0].q->mean();
  }
  /// Shapes: [B, D] -> [B, S, 8].
  Tensor paths(const Tensor& z, const Batch& batch) const {
    Stream stream(1, "unused", at::kCPU);
    auto latents = model->infer(batch, 1, stream);
    latents.layers[0].z = z.unsqueeze(0);
    return model->decode(latents, batch, {"path"}).front().likelihood->mean().reshape({z.size(0), kSegments, 8});
  }
};

Trained trained(const std::string& modalities, uint64_t seed) {
  Stream init(seed, "init", at::kCPU), noise(seed, "noise", at::kCPU), order(seed, "order", at::kCPU);
  const auto yaml =
      text("{latent_size: ", kLatents, ", aggregation: {type: joint, unimodal_encoders: false}, modalities: {", modalities, "}}");
  const Trained result{std::make_shared<MultimodalVae>(read_config<MultimodalVaeConfig>(parse_yaml(yaml, "model")),
                                                       ModelContext{.spec = shapes()->spec(), .init = init})};
  const auto objective = make_dual_branch({}, *result.model, {});
  torch::optim::Adam adam(result.model->parameters(), torch::optim::AdamOptions(2e-3));
  Tensor rows;
  for (int64_t step = 0, at = 0; step < kSteps; ++step, at += kBatch) {
    if (!rows.defined() || at + kBatch > rows.size(0)) rows = order.permutation(shapes()->size(Split::train)), at = 0;
    const auto batch = shapes()->gather(Split::train, rows.narrow(0, at, kBatch), noise);
    adam.zero_grad();
    with_noise(*objective, batch, noise).loss.mean().backward();
    adam.step();
  }
  return result;
}

Batch test_rows(int64_t count) {
  Stream stream(1, "unused", at::kCPU);
  return shapes()->gather(Split::test, torch::arange(count), stream);
}

/// Mean squared error of the pictures that decoded paths make.
double raster_error(const Trained& trained) {
  const torch::NoGradGuard no_grad;
  const auto batch = test_rows(shapes()->size(Split::test));
  const auto paths = trained.paths(trained.codes(batch), batch);
  double error = 0;
  for (int64_t row = 0; row < batch.size(); ++row) {
    const auto picture = rasterise_path(paths[row], kSize).to(torch::kFloat) / 16;
    error += (picture - batch.at("image")[row][0]).square().mean().item<double>();
  }
  return error / static_cast<double>(batch.size());
}

TEST(SlowDualBranch, PicturesLowerTheRasterErrorOfDecodedPaths) {
  const double with = raster_error(trained(kPath + ", " + kImage, 1)), without = raster_error(trained(kPath, 1));
  std::cout << "raster error with pictures " << with << ", of paths alone " << without << "\n";
  EXPECT_LT(with, without);
}

}  // namespace elbo::slow_dual_branch_test
