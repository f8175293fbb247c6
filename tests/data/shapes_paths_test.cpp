#include "elbo/data/shapes_paths.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numbers>

#include "data/files.h"
#include "elbo/base/error.h"
#include "elbo/data/bezier_path.h"
#include "support/tensors.h"

namespace elbo {
namespace shapes_paths_test {
namespace {

using namespace data_test;

/// A closed path of S wavy segments.
Tensor wavy_path(int64_t S) {
  const auto controls = wavy({S, 3, 2}, 0.4);
  const auto path = torch::cat({controls.flatten(1), controls.select(1, 0).roll(-1, 0)}, 1);
  return path * 0.7;
}

/// The path of straight edges between these corners.
Tensor straight(const Tensor& corners) {
  const auto next = corners.roll(-1, 0);
  return torch::cat({corners, corners + (next - corners) / 3, corners + (next - corners) * 2 / 3, next}, 1);
}

TEST(BezierPath, HalvesAreTheSameCurve) {
  const auto segments = wavy_path(5), t = torch::linspace(0, 1, 21, torch::kDouble);
  for (const double cut : {0.5, 0.2}) {
    const auto [first, second] = split_segments(segments, cut);
    expect_close(points_on_path(first, t), points_on_path(segments, t * cut), 1e-12, 1e-12);
    expect_close(points_on_path(second, t), points_on_path(segments, cut + t * (1 - cut)), 1e-12, 1e-12);
  }
  expect_close(points_on_path(segments, values({0, 1})).select(1, 0), segments.narrow(1, 0, 2), 1e-12);
  expect_close(points_on_path(segments, values({0, 1})).select(1, 1), segments.narrow(1, 6, 2), 1e-12);
}

TEST(BezierPath, AreasAreExact) {
  const auto square = values({0, 0, 0.5, 0, 0.5, 0.5, 0, 0.5}, {4, 2});
  EXPECT_NEAR(path_area(straight(square)), 0.25, 1e-12);
  EXPECT_NEAR(path_area(straight(square.flip(0))), -0.25, 1e-12);
  EXPECT_NEAR(path_area(straight(square + 3)), 0.25, 1e-12);
  // Of a curved path: the limit of polygons through its points, 0.0001 apart.
  const auto path = wavy_path(4);
  const auto points = points_on_path(path, torch::arange(10000, torch::kDouble) / 10000).flatten(0, 1), next = points.roll(-1, 0);
  const auto shoelace = (points.select(1, 0) * next.select(1, 1) - points.select(1, 1) * next.select(1, 0)).sum() / 2;
  EXPECT_NEAR(path_area(path), shoelace.item<double>(), 1e-6);
  const auto [first, second] = split_segments(path, 0.3);
  EXPECT_NEAR(path_area(torch::stack({first, second}, 1).flatten(0, 1)), path_area(path), 1e-12);
}

TEST(BezierPath, ASquareOnPixelBordersIsFilledExactly) {
  const auto corners = values({-0.5, -0.25, 0.5, -0.25, 0.5, 0.75, -0.5, 0.75}, {4, 2});
  auto expected = torch::zeros({8, 8}, torch::kByte);
  expected.narrow(0, 3, 4).narrow(1, 2, 4).fill_(16);
  expect_equal(rasterise_path(straight(corners), 8), expected);
  // A quarter of a pixel to the right: a column of samples leaves and one comes.
  const auto moved = rasterise_path(straight(corners + values({0.25 / 4, 0})), 8);
  expect_equal(moved[4], torch::tensor({0, 0, 12, 16, 16, 16, 4, 0}, torch::kByte));
}

TEST(BezierPath, EvenOddLeavesAHoleWhereAPathGoesRoundTwice) {
  const auto square = values({-0.75, -0.75, 0.75, -0.75, 0.75, 0.75, -0.75, 0.75}, {4, 2});
  const auto both = torch::cat({straight(square), straight(square / 3)});
  const auto picture = rasterise_path(both, 8);
  EXPECT_EQ(picture[3][3].item<int64_t>(), 0);
  EXPECT_EQ(picture[1][1].item<int64_t>(), 16);
  EXPECT_EQ(rasterise_path(torch::cat({straight(square), straight(square)}), 8).max().item<int64_t>(), 0);
  EXPECT_EQ(rasterise_path(straight(square * 3), 8).min().item<int64_t>(), 16);  // larger than the picture
  EXPECT_THROW(rasterise_path(square, 8), ShapeError);
  EXPECT_THROW(rasterise_path(straight(square), 8, 16), UsageError);
}

std::shared_ptr<Dataset> shapes(const std::string& options, uint64_t seed = 1) {
  const auto dataset = from_yaml("{type: shapes_paths" + options + "}", {.seed = seed});
  dataset->load(at::kCPU);
  return dataset;
}

TEST(ShapesPaths, PathsAreClosedAndThePicturesAreTheirs) {
  const auto dataset = shapes(", rows: 150, noise: 0");
  const auto paths = whole(*dataset, Split::train, "path"), images = whole(*dataset, Split::train, "image");
  expect_equal(paths.narrow(2, 6, 2), paths.narrow(2, 0, 2).roll(-1, 1));
  EXPECT_LE(paths.abs().max().item<double>(), 1.0);
  double worst = 0, sum = 0;
  for (int64_t row = 0; row < 120; ++row) {
    const double area = path_area(paths[row]);
    EXPECT_GT(area, 0) << row;  // all in one direction
    const double filled = images[row].mean().item<double>() * 4;
    worst = std::max(worst, std::abs(filled / area - 1));
    sum += filled / area - 1;
    expect_equal(images[row][0].mul(16).round().to(torch::kByte), rasterise_path(paths[row], 64));
    // Where a path begins doesn't matter.
    expect_equal(rasterise_path(paths[row].roll(3, 0), 64), rasterise_path(paths[row], 64));
  }
  EXPECT_LT(worst, 0.02);
  EXPECT_LT(std::abs(sum / 120), 0.002);
}

TEST(ShapesPaths, EveryKindIsThereAndAnEllipseIsOne) {
  const auto dataset = shapes(", rows: 400, noise: 0, segments: 12, size: 16");
  const auto labels = whole(*dataset, Split::train, "label"), paths = whole(*dataset, Split::train, "path");
  EXPECT_GT(torch::bincount(labels, {}, 3).min().item<int64_t>(), 70);
  const auto t = torch::linspace(0, 1, 5);
  for (int64_t row = 0; row < 40; ++row) {
    if (labels[row].item<int64_t>() != 0) continue;
    // Affine image of a circle: its points have a constant quadratic form, here by the semi-axes at the joints.
    const auto joints = paths[row].narrow(1, 0, 2), centre = joints.mean(0);
    const auto a = joints[0] - centre, b = joints[3] - centre;
    const auto points = points_on_path(paths[row], t).flatten(0, 1) - centre;
    const auto radius = torch::linalg_solve(torch::stack({a, b}, 1), points.t(), true).square().sum(0);
    expect_close(radius, 1.0, 1e-3);
    EXPECT_NEAR(path_area(paths[row]) / (std::numbers::pi * (a[0] * b[1] - a[1] * b[0]).item<double>()), 1, 1e-3);
  }
}

TEST(ShapesPaths, SameSeedSameBytesAndTheSpecIsTrue) {
  const auto first = shapes(", rows: 60"), again = shapes(", rows: 60"), other = shapes(", rows: 60", 2);
  EXPECT_EQ(first->fingerprint(), again->fingerprint());
  EXPECT_NE(first->fingerprint(), other->fingerprint());
  EXPECT_NE(first->fingerprint(), shapes(", rows: 60, noise: 0.01")->fingerprint());
  EXPECT_EQ(first->spec().at("path").shape, (Shape{8, 8}));
  EXPECT_EQ(first->spec().at("image").levels, 17);
  EXPECT_EQ(first->spec().at("label").num_classes, 3);
  EXPECT_FALSE(first->training_mean().defined());
}

}  // namespace
}  // namespace shapes_paths_test
}  // namespace elbo
