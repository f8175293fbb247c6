#include "elbo/data/ocean_floor.h"

#include <gtest/gtest.h>

#include "support/tensors.h"

namespace elbo::ocean_floor_test {

Batch maps_of(const OceanFloorConfig& config, uint64_t seed, int64_t count = 8) {
  const auto set = make_ocean_floor(config, {.seed = seed});
  set->load(at::kCPU);
  Stream unused(1, "data", at::kCPU);
  return set->gather(Split::train, torch::arange(count), unused);
}

TEST(OceanFloor, CoarseDepthsAreMeansOfTheFineOnes) {
  const auto batch = maps_of({.rows = 20, .size = 32, .factor = 4, .noise = 0}, 1);
  EXPECT_EQ(batch.at("target").sizes(), (Shape{8, 1, 32, 32}));
  EXPECT_EQ(batch.at("x").sizes(), (Shape{8, 1, 8, 8}));
  expect_close(batch.at("x"), torch::avg_pool2d(batch.at("target"), 4), 0, 1e-5);
}

TEST(OceanFloor, NoiseIsOnTheCoarseDepthsAlone) {
  const OceanFloorConfig quiet{.rows = 20, .size = 32, .noise = 0}, loud{.rows = 20, .size = 32, .noise = 0.02};
  const auto a = maps_of(quiet, 1), b = maps_of(loud, 1);
  expect_equal(b.at("target"), a.at("target"));
  EXPECT_NEAR((b.at("x") - a.at("x")).std().item<double>(), 0.02, 0.001);
}

TEST(OceanFloor, IsAFunctionOfTheSeed) {
  const OceanFloorConfig config{.rows = 20, .size = 32};
  expect_equal(maps_of(config, 3).at("target"), maps_of(config, 3).at("target"));
  EXPECT_FALSE(maps_of(config, 3).at("target").equal(maps_of(config, 4).at("target")));
  const auto set = make_ocean_floor(config, {.seed = 3});
  EXPECT_EQ(set->size(Split::train), 16);
  EXPECT_EQ(set->size(Split::valid), 2);
  EXPECT_EQ(set->size(Split::test), 2);
  EXPECT_EQ(set->spec().at("target").kind, ValueKind::unit);
}

// A relief, neither flat nor cut off, with detail that repeating the coarse pixels loses and rougher where asked for.
TEST(OceanFloor, LooksLikeARelief) {
  const auto steepness = [](const Tensor& maps) { return maps.diff(1, 3).abs().mean().item<double>(); };
  const auto smooth = maps_of({.rows = 60, .size = 64, .roughness = 0.35}, 5, 40).at("target");
  const auto rough = maps_of({.rows = 60, .size = 64, .roughness = 0.7}, 5, 40).at("target");
  EXPECT_GT(steepness(rough), 1.5 * steepness(smooth));
  const auto batch = maps_of({.rows = 60, .noise = 0}, 5, 40);
  const auto& fine = batch.at("target");
  EXPECT_GT(fine.flatten(1).std(1).min().item<double>(), 0.02);
  EXPECT_LT(fine.le(0.001).logical_or(fine.ge(0.999)).to(torch::kDouble).mean().item<double>(), 0.01);
  const auto repeated = batch.at("x").repeat_interleave(2, 2).repeat_interleave(2, 3);
  const auto lost = (fine - repeated).square().mean().item<double>();
  EXPECT_GT(lost, 1e-5);
  EXPECT_LT(lost, 1e-2);
}

}  // namespace elbo::ocean_floor_test
