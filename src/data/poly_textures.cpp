#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "elbo/base/error.h"
#include "elbo/data/poly.h"
#include "elbo/math/random.h"

namespace elbo {
namespace {

constexpr int64_t kSide = 256;
constexpr double kSideLength = kSide;

/// Numbers of one texture, each a function of its place: the same on every machine, so no sine and no generator.
struct Hashed {
  uint64_t seed = 0;
  uint64_t modality = 0;

  /// In [0, 1).
  double operator()(uint64_t what, int64_t i = 0, int64_t j = 0) const {
    const auto key = hash_key({seed, modality, what, static_cast<uint64_t>(i), static_cast<uint64_t>(j)});
    return static_cast<double>(key >> 11) * 0x1p-53;
  }
  double between(double low, double high, uint64_t what, int64_t i = 0, int64_t j = 0) const {
    return low + (high - low) * (*this)(what, i, j);
  }
};

/// Between 0 and 1, period 1.
double triangle_wave(double phase) { return std::abs(2 * (phase - std::floor(phase)) - 1); }

double stripes(const Hashed& random, double x, double y) {
  const double fine = (0.8 * x + 0.6 * y) / random.between(9, 13, 1) + random(2);
  const double coarse = (0.28 * x - 0.96 * y) / random.between(40, 60, 3) + random(4);
  return 0.65 * triangle_wave(fine) + 0.35 * triangle_wave(coarse);
}

double checkerboard(const Hashed& random, double x, double y) {
  const auto cell = [&](double place, uint64_t what) { return static_cast<int64_t>(std::floor(place / 14 + random(what))); };
  const double white = (cell(x, 1) + cell(y, 2)) % 2 == 0 ? 0.75 : 0.25;
  return white + random.between(-0.25, 0.25, 3, static_cast<int64_t>(x), static_cast<int64_t>(y));
}

double value_noise(const Hashed& random, double x, double y) {
  double sum = 0, most = 0, weight = 1;
  uint64_t octave = 1;
  for (const double spacing : {64.0, 32.0, 16.0, 8.0}) {
    const auto i = static_cast<int64_t>(std::floor(x / spacing)), j = static_cast<int64_t>(std::floor(y / spacing));
    const auto smooth = [](double t) { return t * t * (3 - 2 * t); };
    const double s = smooth(x / spacing - static_cast<double>(i)), t = smooth(y / spacing - static_cast<double>(j));
    const double top = (1 - s) * random(octave, i, j) + s * random(octave, i + 1, j);
    const double bottom = (1 - s) * random(octave, i, j + 1) + s * random(octave, i + 1, j + 1);
    sum += weight * ((1 - t) * top + t * bottom);
    most += weight;
    weight /= 2;
    ++octave;
  }
  return sum / most;
}

double voronoi_cells(const Hashed& random, double x, double y) {
  constexpr double kCell = 20;  // one point in each square of this side
  const auto column = static_cast<int64_t>(x / kCell), row = static_cast<int64_t>(y / kCell);
  double nearest = std::numeric_limits<double>::max(), second = nearest, brightness = 0;
  for (int64_t j = row - 2; j <= row + 2; ++j) {
    for (int64_t i = column - 2; i <= column + 2; ++i) {
      const double dx = (static_cast<double>(i) + random(1, i, j)) * kCell - x;
      const double dy = (static_cast<double>(j) + random(2, i, j)) * kCell - y;
      const double distance = std::sqrt(dx * dx + dy * dy);
      if (distance < nearest) {
        second = nearest, nearest = distance, brightness = random(3, i, j);
      } else {
        second = std::min(second, distance);
      }
    }
  }
  return second - nearest < 1.5 ? 0 : 0.25 + 0.75 * brightness;  // cells have dark borders
}

double radial_gradient(const Hashed& random, double x, double y) {
  const double dx = x / kSideLength - random.between(0.3, 0.7, 1), dy = y / kSideLength - random.between(0.3, 0.7, 2);
  const double distance = std::min(1.0, std::sqrt(dx * dx + dy * dy) * 1.3);
  const double speckle = random(3, static_cast<int64_t>(x), static_cast<int64_t>(y)) < 0.06 ? -0.6 : 0.0;
  return 1 - distance + speckle;
}

struct Style {
  double (*brightness)(const Hashed&, double x, double y);  // around 1/2
  std::array<double, 3> colour;                             // its channels on both sides of middle grey, and none near it
  double contrast;
};

constexpr std::array<Style, 5> kStyles = {{
    {stripes, {0.80, 0.26, 0.22}, 0.30},
    {checkerboard, {0.20, 0.28, 0.76}, 0.28},
    {value_noise, {0.24, 0.72, 0.28}, 0.45},
    {voronoi_cells, {0.78, 0.74, 0.22}, 0.26},
    {radial_gradient, {0.70, 0.24, 0.76}, 0.30},
}};

}  // namespace

Tensor poly_texture(int64_t modality, uint64_t seed) {
  if (modality < 0 || modality >= static_cast<int64_t>(kStyles.size())) throw UsageError("poly_texture: modalities are 0 to 4");
  const auto& style = kStyles[static_cast<size_t>(modality)];
  const Hashed random{.seed = seed, .modality = static_cast<uint64_t>(modality)};
  Tensor texture = torch::empty({3, kSide, kSide}, torch::kByte);
  auto bytes = texture.accessor<uint8_t, 3>();
  for (int64_t y = 0; y < kSide; ++y) {
    for (int64_t x = 0; x < kSide; ++x) {
      const double brightness = style.brightness(random, static_cast<double>(x), static_cast<double>(y)) - 0.5;
      for (int64_t c = 0; c < 3; ++c) {
        const double value = style.colour[static_cast<size_t>(c)] + style.contrast * brightness;
        bytes[c][y][x] = static_cast<uint8_t>(std::clamp(255 * value + 0.5, 0.0, 255.0));
      }
    }
  }
  return texture;
}

}  // namespace elbo
