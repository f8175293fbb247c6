#include "elbo/data/shapes_paths.h"

#include <ATen/Parallel.h>

#include <cmath>
#include <numbers>
#include <vector>

#include "elbo/data/bezier_path.h"
#include "elbo/data/memory_dataset.h"

namespace elbo {
namespace {

constexpr int64_t kSupersampling = 4;
constexpr int64_t kKinds = 3;

struct Point {
  double x = 0;
  double y = 0;
};
Point operator+(Point a, Point b) { return {a.x + b.x, a.y + b.y}; }
Point operator-(Point a, Point b) { return {a.x - b.x, a.y - b.y}; }
Point operator*(double s, Point p) { return {s * p.x, s * p.y}; }
Point on_circle(double angle) { return {std::cos(angle), std::sin(angle)}; }

/// The numbers of one row, whatever thread makes it.
class RowNumbers {
 public:
  RowNumbers(uint64_t seed, int64_t row) : key_(hash_key({seed, hash_key("shapes_paths"), static_cast<uint64_t>(row)})) {}
  double between(double low, double high) {
    return low + (high - low) * static_cast<double>(hash_key({key_, count_++}) >> 11) * 0x1p-53;
  }
  int64_t whole(int64_t low, int64_t high) {  // both included
    return std::min(high, low + static_cast<int64_t>(between(0, static_cast<double>(high - low + 1))));
  }

 private:
  uint64_t key_;
  uint64_t count_ = 0;
};

/// Control points p0 p1 p2 of each segment; its p3 is the next one's p0.
using Outline = std::vector<std::array<Point, 3>>;

Outline ellipse(int64_t S) {
  const double step = 2 * std::numbers::pi / static_cast<double>(S);
  const double handle = 4.0 / 3 * std::tan(step / 4);  // the arc's usual cubic
  Outline outline;
  for (int64_t s = 0; s < S; ++s) {
    const Point a = on_circle(static_cast<double>(s) * step), b = on_circle(static_cast<double>(s + 1) * step);
    outline.push_back({a, a + handle * Point{-a.y, a.x}, b - handle * Point{-b.y, b.x}});
  }
  return outline;
}

/// Straight edges between the corners, the first ones in as many pieces as it takes to make S.
Outline with_corners(const std::vector<Point>& corners, int64_t S) {
  Outline outline;
  const auto n = static_cast<int64_t>(corners.size());
  for (int64_t i = 0; i < n; ++i) {
    const Point from = corners[static_cast<size_t>(i)], to = corners[static_cast<size_t>((i + 1) % n)];
    const int64_t pieces = S / n + (i < S % n ? 1 : 0);
    for (int64_t piece = 0; piece < pieces; ++piece) {
      const auto at = [&](double place) { return from + place / static_cast<double>(3 * pieces) * (to - from); };
      const auto first = static_cast<double>(3 * piece);
      outline.push_back({at(first), at(first + 1), at(first + 2)});
    }
  }
  return outline;
}

Outline polygon(int64_t S, RowNumbers& random) {
  const int64_t n = random.whole(3, 6);
  std::vector<Point> corners;
  for (int64_t i = 0; i < n; ++i)
    corners.push_back(on_circle(2 * std::numbers::pi * static_cast<double>(i) / static_cast<double>(n)));
  return with_corners(corners, S);
}

Outline star(int64_t S, RowNumbers& random) {
  const int64_t spikes = random.whole(3, std::min<int64_t>(6, S / 2));
  const double inner = random.between(0.35, 0.6);
  std::vector<Point> corners;
  for (int64_t i = 0; i < 2 * spikes; ++i) {
    const double angle = std::numbers::pi * static_cast<double>(i) / static_cast<double>(spikes);
    corners.push_back((i % 2 == 0 ? 1 : inner) * on_circle(angle));
  }
  return with_corners(corners, S);
}

void shake(Outline& outline, double noise, RowNumbers& random) {
  for (auto& segment : outline) {
    for (auto& point : segment) point = point + Point{random.between(-noise, noise), random.between(-noise, noise)};
  }
}

/// Stretched, turned and moved, all of it within the picture before it is shaken.
void place(Outline& outline, double noise, RowNumbers& random) {
  const double size = random.between(0.45, 0.85), narrow = random.between(0.6, 1);
  const Point turn = on_circle(random.between(0, 2 * std::numbers::pi));
  const double room = std::max(0.0, 0.95 - noise - size);
  const Point centre = {random.between(-room, room), random.between(-room, room)};
  for (auto& segment : outline) {
    for (auto& point : segment) {
      const Point p = {size * point.x, size * narrow * point.y};
      point = centre + Point{turn.x * p.x - turn.y * p.y, turn.y * p.x + turn.x * p.y};
    }
  }
}

void write_path(const Outline& outline, at::TensorAccessor<float, 2> path) {
  for (size_t s = 0; s < outline.size(); ++s) {
    const auto& [a, b, c] = outline[s];
    const Point d = outline[(s + 1) % outline.size()][0];
    auto row = path[static_cast<int64_t>(s)];
    int64_t i = 0;
    for (const Point point : {a, b, c, d}) {
      row[i++] = static_cast<float>(point.x);
      row[i++] = static_cast<float>(point.y);
    }
  }
}

std::map<std::string, Tensor> make_shapes(const ShapesPathsConfig& config, uint64_t seed) {
  Tensor paths = torch::empty({config.rows, config.segments, 8}, torch::kFloat);
  Tensor images = torch::empty({config.rows, 1, config.size, config.size}, torch::kByte);
  Tensor labels = torch::empty({config.rows}, torch::kByte);
  at::parallel_for(0, config.rows, 64, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      RowNumbers random(seed, row);
      const int64_t kind = random.whole(0, kKinds - 1);
      Outline outline = kind == 0   ? ellipse(config.segments)
                        : kind == 1 ? polygon(config.segments, random)
                                    : star(config.segments, random);
      place(outline, config.noise, random);
      shake(outline, config.noise, random);
      write_path(outline, paths.accessor<float, 3>()[row]);
      images[row][0].copy_(rasterise_path(paths[row], config.size, kSupersampling));
      labels[row] = kind;
    }
  });
  return {{"path", paths}, {"image", images}, {"label", labels}};
}

}  // namespace

std::shared_ptr<Dataset> make_shapes_paths(const ShapesPathsConfig& config, const DataContext& context) {
  RowSource source;
  source.spec = {
      {"path", {.shape = {config.segments, 8}, .kind = ValueKind::real}},
      {"image", {.shape = {1, config.size, config.size}, .kind = ValueKind::unit, .levels = kSupersampling * kSupersampling + 1}},
      {"label", {.shape = {}, .kind = ValueKind::category, .num_classes = kKinds}}};
  source.where = "data set shapes_paths";
  source.num_bytes = 2 * config.rows * (config.segments * 8 * 4 + config.size * config.size);
  source.rows = split_rows(config.rows, num_held_out(config.split.valid_fraction, config.rows),
                           num_held_out(config.split.test_fraction, config.rows), context.seed);
  source.read = [config, seed = context.seed] { return make_shapes(config, seed); };
  return std::make_shared<MemoryDataset>(std::move(source),
                                         DataOptions{.batch_size = config.batch_size, .missing = config.missing}, context.seed);
}

}  // namespace elbo
