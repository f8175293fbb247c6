#include "elbo/data/bezier_path.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "elbo/base/error.h"
#include "elbo/math/precision.h"

namespace elbo {
namespace {

/// Straight pieces that stand for a segment when it is filled: within 1/500 of a pixel of a curve as wide as a picture of 64.
constexpr int64_t kPieces = 32;

using Points = at::TensorAccessor<double, 2>;

/// [T, 4].
Tensor bernstein(const Tensor& t) {
  const Tensor s = 1 - t;
  return torch::stack({s * s * s, 3 * s * s * t, 3 * s * t * t, t * t * t}, 1);
}

}  // namespace

Tensor points_on_path(const Tensor& segments, const Tensor& t) {
  const FullPrecisionScope precise(segments.device());
  auto shape = segments.sizes().vec();
  shape.back() = 4;
  shape.push_back(2);
  return torch::matmul(bernstein(t.to(segments.options())), segments.reshape(shape));
}

std::pair<Tensor, Tensor> split_segments(const Tensor& segments, double t) {
  const auto p = segments.split(2, -1);
  const auto between = [t](const Tensor& a, const Tensor& b) { return a + t * (b - a); };
  const Tensor ab = between(p[0], p[1]), bc = between(p[1], p[2]), cd = between(p[2], p[3]);
  const Tensor abc = between(ab, bc), bcd = between(bc, cd), middle = between(abc, bcd);
  return {torch::cat({p[0], ab, abc, middle}, -1), torch::cat({middle, bcd, cd, p[3]}, -1)};
}

double path_area(const Tensor& segments) {
  check_shape(segments, {kAnyExtent, 8}, "segments of a path");
  const Tensor host = segments.to(torch::kCPU, torch::kDouble).contiguous();
  const auto p = host.accessor<double, 2>();
  // Integrals over [0, 1] of b_i b_j', the Bernstein polynomials of degree 3, times 20: what is not symmetric of them.
  constexpr double kIntegral[4][4] = {{-10, 6, 3, 1}, {-6, 0, 3, 3}, {-3, -3, 0, 6}, {-1, -3, -6, 10}};
  double area = 0;
  for (int64_t s = 0; s < host.size(0); ++s) {
    for (int64_t i = 0; i < 4; ++i) {
      for (int64_t j = 0; j < 4; ++j) {
        area += kIntegral[i][j] / 20 * (p[s][2 * i] * p[s][2 * j + 1] - p[s][2 * i + 1] * p[s][2 * j]) / 2;
      }
    }
  }
  return area;
}

Tensor rasterise_path(const Tensor& segments, int64_t size, int64_t supersampling) {
  check_shape(segments, {kAnyExtent, 8}, "segments of a path");
  if (supersampling < 1 || supersampling > 15) throw UsageError("rasterise_path: supersampling is 1 to 15");
  // Both ends of a segment are its own control points: a closed path stays closed in the last bit.
  const Tensor t = torch::arange(kPieces + 1, torch::kDouble) / static_cast<double>(kPieces);
  const int64_t side = size * supersampling;
  const Tensor samples = (points_on_path(segments.to(torch::kDouble), t) + 1) * (static_cast<double>(side) / 2) - 0.5;
  const Tensor points = samples.contiguous();  // [S, pieces + 1, 2], in samples, whose places are whole numbers
  const auto p = points.accessor<double, 3>();
  std::vector<std::vector<double>> crossings(static_cast<size_t>(side));
  for (int64_t s = 0; s < points.size(0); ++s) {
    for (int64_t i = 0; i < kPieces; ++i) {
      const double ax = p[s][i][0], ay = p[s][i][1], bx = p[s][i + 1][0], by = p[s][i + 1][1];
      const double low = std::min(ay, by), high = std::max(ay, by);
      const auto first = static_cast<int64_t>(std::ceil(std::clamp(low, 0.0, static_cast<double>(side))));
      const auto end = static_cast<int64_t>(std::ceil(std::clamp(high, 0.0, static_cast<double>(side))));
      for (int64_t y = first; y < end; ++y) {  // low <= y < high: a corner counts once
        crossings[static_cast<size_t>(y)].push_back(ax + (static_cast<double>(y) - ay) / (by - ay) * (bx - ax));
      }
    }
  }
  Tensor picture = torch::zeros({size, size}, torch::kByte);
  auto pixels = picture.accessor<uint8_t, 2>();
  for (int64_t y = 0; y < side; ++y) {
    auto& row = crossings[static_cast<size_t>(y)];
    std::sort(row.begin(), row.end());
    for (size_t i = 0; i + 1 < row.size(); i += 2) {
      const auto first = static_cast<int64_t>(std::ceil(std::clamp(row[i], 0.0, static_cast<double>(side))));
      const auto end = static_cast<int64_t>(std::ceil(std::clamp(row[i + 1], 0.0, static_cast<double>(side))));
      for (int64_t x = first; x < end; ++x) ++pixels[y / supersampling][x / supersampling];
    }
  }
  return picture;
}

}  // namespace elbo
