#include "elbo/data/ocean_floor.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <vector>

#include "elbo/data/memory_dataset.h"

namespace elbo {
namespace {

/// The numbers of one map, whatever thread makes it.
class SeaNumbers {
 public:
  SeaNumbers(uint64_t seed, int64_t row) : key_(hash_key({seed, hash_key("ocean_floor"), static_cast<uint64_t>(row)})) {}
  double between(double low, double high) {
    return low + (high - low) * static_cast<double>(hash_key({key_, count_++}) >> 11) * 0x1p-53;
  }
  /// Nearly normal, without functions that differ in the last bit from one machine to the next.
  double bell() {
    double sum = 0;
    for (int64_t i = 0; i < 12; ++i) sum += between(-0.5, 0.5);
    return sum;
  }

 private:
  uint64_t key_;
  uint64_t count_ = 0;
};

double smooth_step(double t) { return t * t * t * (t * (6 * t - 15) + 10); }

/// A map of heights; places are in [0, 1).
class Relief {
 public:
  explicit Relief(int64_t size) : size_(size), heights_(static_cast<size_t>(size * size)) {}
  int64_t size() const { return size_; }
  double place(int64_t i) const { return (static_cast<double>(i) + 0.5) / static_cast<double>(size_); }
  double& at(int64_t row, int64_t column) { return heights_[static_cast<size_t>(row * size_ + column)]; }
  template <class F>
  void add(F&& height) {
    for (int64_t row = 0; row < size_; ++row) {
      for (int64_t column = 0; column < size_; ++column) at(row, column) += height(place(column), place(row));
    }
  }

 private:
  int64_t size_;
  std::vector<double> heights_;
};

/// Random heights in [-1, 1] on a lattice, smoothly joined: one octave of a relief.
class Lattice {
 public:
  Lattice(int64_t cells, SeaNumbers& random) : cells_(cells) {
    for (int64_t i = 0; i < (cells + 1) * (cells + 1); ++i) heights_.push_back(random.between(-1, 1));
  }
  double operator()(double x, double y) const {
    const auto column = std::min(static_cast<int64_t>(x * static_cast<double>(cells_)), cells_ - 1);
    const auto row = std::min(static_cast<int64_t>(y * static_cast<double>(cells_)), cells_ - 1);
    const double s = smooth_step(x * static_cast<double>(cells_) - static_cast<double>(column));
    const double t = smooth_step(y * static_cast<double>(cells_) - static_cast<double>(row));
    const auto height = [&](int64_t r, int64_t c) { return heights_[static_cast<size_t>(r * (cells_ + 1) + c)]; };
    const double near = height(row, column) + s * (height(row, column + 1) - height(row, column));
    const double far = height(row + 1, column) + s * (height(row + 1, column + 1) - height(row + 1, column));
    return near + t * (far - near);
  }

 private:
  int64_t cells_;
  std::vector<double> heights_ = {};
};

void add_fractal(Relief& relief, double roughness, SeaNumbers& random) {
  double height = 0.5;
  for (int64_t cells = 2; 2 * cells <= relief.size(); cells *= 2, height *= roughness) {
    const Lattice octave(cells, random);
    relief.add([&](double x, double y) { return height * octave(x, y); });
  }
}

/// Crests where a smooth relief crosses zero.
void add_ridges(Relief& relief, SeaNumbers& random) {
  const double height = random.between(0, 0.7);
  const Lattice coarse(3, random), fine(7, random);
  relief.add([&](double x, double y) {
    const double crest = 1 - std::min(1.0, 2.5 * std::abs(coarse(x, y) + 0.3 * fine(x, y)));
    return height * crest * crest;
  });
}

void add_slope(Relief& relief, SeaNumbers& random) {
  const double across = random.between(-0.6, 0.6), along = random.between(-0.6, 0.6);
  relief.add([&](double x, double y) { return across * (x - 0.5) + along * (y - 0.5); });
}

void add_seamounts(Relief& relief, SeaNumbers& random) {
  for (auto count = static_cast<int64_t>(random.between(0, 3.99)); count > 0; --count) {
    const double x0 = random.between(0, 1), y0 = random.between(0, 1), radius = random.between(0.06, 0.2);
    const double height = random.between(0.3, 0.9);
    relief.add([&](double x, double y) {
      const double r = ((x - x0) * (x - x0) + (y - y0) * (y - y0)) / (radius * radius);
      return height / ((1 + r) * (1 + r));
    });
  }
}

/// A valley about a line that winds from one side to the other.
void add_canyon(Relief& relief, SeaNumbers& random) {
  const double depth = random.between(-0.2, 0.8);  // one map in five has none
  if (depth <= 0) return;
  const double from = random.between(0.1, 0.9), to = random.between(0.1, 0.9), width = random.between(0.02, 0.06);
  const bool upright = random.between(0, 1) < 0.5;
  const Lattice winding(6, random);
  relief.add([&](double x, double y) {
    const double along = upright ? y : x, across = upright ? x : y;
    const double off = (across - from - (to - from) * along - 0.15 * winding(along, 0.5)) / width;
    return -depth / (1 + off * off);
  });
}

/// Written as multiples of 1/65535, which a last bit of rounding hardly ever changes.
float stored(double depth) { return static_cast<float>(std::round(std::clamp(depth, 0.0, 1.0) * 65535) / 65535); }

void make_map(const OceanFloorConfig& config, uint64_t seed, int64_t row, float* fine, float* coarse) {
  SeaNumbers random(seed, row);
  Relief relief(config.size);
  add_fractal(relief, config.roughness, random);
  add_ridges(relief, random);
  add_slope(relief, random);
  add_seamounts(relief, random);
  add_canyon(relief, random);
  for (int64_t r = 0; r < config.size; ++r) {
    for (int64_t c = 0; c < config.size; ++c) {
      const double height = relief.at(r, c) - 0.2;
      fine[r * config.size + c] = stored(0.5 + 0.5 * height / std::sqrt(0.6 + height * height));
    }
  }
  const auto side = config.size / config.factor;
  for (int64_t r = 0; r < side; ++r) {
    for (int64_t c = 0; c < side; ++c) {
      double sum = 0;
      for (int64_t i = 0; i < config.factor; ++i) {
        for (int64_t j = 0; j < config.factor; ++j) {
          sum += static_cast<double>(fine[(r * config.factor + i) * config.size + c * config.factor + j]);
        }
      }
      coarse[r * side + c] = stored(sum / static_cast<double>(config.factor * config.factor) + config.noise * random.bell());
    }
  }
}

std::map<std::string, Tensor> make_maps(const OceanFloorConfig& config, uint64_t seed) {
  const auto side = config.size / config.factor;
  const auto fine = torch::empty({config.rows, 1, config.size, config.size}, torch::kFloat);
  const auto coarse = torch::empty({config.rows, 1, side, side}, torch::kFloat);
  auto* const fine_data = fine.mutable_data_ptr<float>();
  auto* const coarse_data = coarse.mutable_data_ptr<float>();
  at::parallel_for(0, config.rows, 16, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      make_map(config, seed, row, fine_data + row * config.size * config.size, coarse_data + row * side * side);
    }
  });
  return {{"target", fine}, {"x", coarse}};
}

}  // namespace

std::shared_ptr<Dataset> make_ocean_floor(const OceanFloorConfig& config, const DataContext& context) {
  const auto side = config.size / config.factor;
  RowSource source;
  source.spec = {{"target", {.shape = {1, config.size, config.size}, .kind = ValueKind::unit}},
                 {"x", {.shape = {1, side, side}, .kind = ValueKind::unit}}};
  source.where = "data set ocean_floor";
  source.num_bytes = 2 * config.rows * 4 * (config.size * config.size + side * side);
  source.rows = split_rows(config.rows, num_held_out(config.split.valid_fraction, config.rows),
                           num_held_out(config.split.test_fraction, config.rows), context.seed);
  source.read = [config, seed = context.seed] { return make_maps(config, seed); };
  return std::make_shared<MemoryDataset>(std::move(source), DataOptions{.batch_size = config.batch_size}, context.seed);
}

}  // namespace elbo
