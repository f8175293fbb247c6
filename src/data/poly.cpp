#include "elbo/data/poly.h"

#include <ATen/Parallel.h>

#include <algorithm>

#include "elbo/base/error.h"
#include "elbo/base/text.h"
#include "elbo/data/memory_dataset.h"
#include "fit_image.h"

namespace elbo {
namespace {

constexpr int64_t kPolyRowsAtOnce = 1024;

/// What a split of the base gives.
struct Base {
  Tensor images = {};  // [n, side, side] bytes, as large as they will be drawn
  Tensor labels = {};  // [n] int64
};

Base base_of(const Dataset& dataset, Split split, int64_t side) {
  const int64_t n = dataset.size(split);
  Base base{.images = torch::empty({n, side, side}, torch::kByte), .labels = torch::empty({n}, torch::kLong)};
  Stream stream(0, "poly", at::kCPU);
  for (int64_t begin = 0; begin < n; begin += kPolyRowsAtOnce) {
    const int64_t count = std::min(kPolyRowsAtOnce, n - begin);
    const auto batch = dataset.gather(split, torch::arange(begin, begin + count), stream);
    base.labels.narrow(0, begin, count).copy_(batch.at("label"));
    const Tensor bytes = batch.at("x").mul(255).round().to(torch::kByte).contiguous();
    const auto H = bytes.size(2), W = bytes.size(3);
    for (int64_t i = 0; i < count; ++i) {
      const auto* pixels = bytes[i].const_data_ptr<uint8_t>();
      detail::fit_image({.width = static_cast<int>(W), .height = static_cast<int>(H), .pixels = {pixels, pixels + H * W}},
                        static_cast<int>(side), 1,
                        {base.images[begin + i].data_ptr<uint8_t>(), static_cast<size_t>(side * side)});
    }
  }
  return base;
}

/// Of each row the base's row that this modality shows: a permutation within each class.
Tensor shuffled_within_classes(const Tensor& labels, int64_t num_classes, Stream& stream) {
  Tensor chosen = torch::empty_like(labels);
  for (int64_t label = 0; label < num_classes; ++label) {
    const Tensor rows = labels.eq(label).nonzero().select(1, 0);
    chosen.index_copy_(0, rows, rows.index_select(0, stream.permutation(rows.size(0))));
  }
  return chosen;
}

/// How the rows of one modality in one split are drawn.
struct Drawing {
  Tensor chosen = {};   // [n] of the base's images
  Tensor corners = {};  // [n, 2] y, x of the background
  Tensor offsets = {};  // [n, 2] of the image in the picture
};

Tensor whole_below(int64_t n, int64_t limit, Stream& stream) {
  return stream.uniform({n}, {2}).mul(static_cast<double>(limit)).floor().to(torch::kLong).clamp_max(limit - 1);
}

void draw_pictures(const Base& base, const Drawing& drawing, const Tensor& texture, int64_t threshold, Tensor pictures) {
  const auto chosen = drawing.chosen.accessor<int64_t, 1>();
  const auto corners = drawing.corners.accessor<int64_t, 2>(), offsets = drawing.offsets.accessor<int64_t, 2>();
  const int64_t size = pictures.size(2), side = base.images.size(1), width = texture.size(2);
  const auto* images = base.images.const_data_ptr<uint8_t>();
  const auto* back = texture.const_data_ptr<uint8_t>();
  auto* out = pictures.data_ptr<uint8_t>();
  at::parallel_for(0, pictures.size(0), 256, [&](int64_t begin, int64_t end) {
    std::vector<uint8_t> inside(static_cast<size_t>(size * size));  // 255 where the image is: the inverse of a byte is its xor
    for (int64_t row = begin; row < end; ++row) {
      const int64_t top = offsets[row][0], left = offsets[row][1];
      std::fill(inside.begin(), inside.end(), uint8_t{0});
      for (int64_t v = 0; v < side; ++v) {
        const auto* from = images + (chosen[row] * side + v) * side;
        auto* to = inside.data() + (top + v) * size + left;
        for (int64_t u = 0; u < side; ++u) to[u] = from[u] > threshold ? 255 : 0;
      }
      for (int64_t c = 0; c < 3; ++c) {
        for (int64_t y = 0; y < size; ++y) {
          const auto* from = back + (c * width + corners[row][0] + y) * width + corners[row][1];
          auto* to = out + ((row * 3 + c) * size + y) * size;
          const auto* mask = inside.data() + y * size;
          for (int64_t x = 0; x < size; ++x) to[x] = from[x] ^ mask[x];
        }
      }
    }
  });
}

class PolyBuilder {
 public:
  PolyBuilder(const PolyConfig& config, std::shared_ptr<Dataset> base, uint64_t seed)
      : config_(config), base_(std::move(base)), seed_(seed) {}

  int64_t num_rows(Split split) const { return base_->size(split) * (split == Split::train ? config_.repeats : 1); }

  std::map<std::string, Tensor> build() const {
    base_->load(at::kCPU);
    int64_t N = 0;
    for (const Split split : {Split::train, Split::valid, Split::test}) N += num_rows(split);
    std::map<std::string, Tensor> arrays = {{"label", torch::empty({N}, torch::kLong)}};
    std::vector<Tensor> textures;
    for (int64_t m = 0; m < config_.modalities; ++m) {
      textures.push_back(poly_texture(m, static_cast<uint64_t>(config_.textures)));
      arrays[text("m", m)] = torch::empty({N, 3, config_.size, config_.size}, torch::kByte);
    }
    const int64_t num_classes = base_->spec().at("label").num_classes;
    const int64_t side = config_.translated ? config_.size * 3 / 4 : config_.size;
    int64_t row = 0;
    for (const Split split : {Split::train, Split::valid, Split::test}) {
      const auto base = base_of(*base_, split, side);
      const int64_t n = base.labels.size(0), copies = split == Split::train ? config_.repeats : 1;
      for (int64_t copy = 0; copy < copies; ++copy, row += n) {
        arrays["label"].narrow(0, row, n).copy_(base.labels);
        for (int64_t m = 0; m < config_.modalities; ++m) {
          Stream stream(seed_, text("poly m", m), at::kCPU);
          stream.rekey(3 * copy + static_cast<int64_t>(split));
          Drawing drawing;
          drawing.chosen = shuffled_within_classes(base.labels, num_classes, stream);
          const auto& texture = textures[static_cast<size_t>(m)];
          drawing.corners = whole_below(n, texture.size(1) - config_.size, stream);
          drawing.offsets = config_.translated ? whole_below(n, config_.size / 4, stream) : torch::zeros({n, 2}, torch::kLong);
          draw_pictures(base, drawing, texture, config_.threshold, arrays[text("m", m)].narrow(0, row, n));
        }
      }
    }
    return arrays;
  }

 private:
  PolyConfig config_;
  std::shared_ptr<Dataset> base_;
  uint64_t seed_;
};

void check_base(const std::string& type, const DataSpec& spec) {
  const auto refuse = [&](const std::string& what) {
    throw ConfigError("data.base: '" + type + "' " + what + "; take a labelled set of images [1, H, W] in [0, 1], such as mnist");
  };
  const auto x = spec.find("x"), label = spec.find("label");
  if (x == spec.end() || label == spec.end()) refuse("has no fields x and label");
  if (x->second.shape.size() != 3 || x->second.shape[0] != 1) refuse("has x " + shape_text(x->second.shape));
  if (x->second.kind != ValueKind::unit && x->second.kind != ValueKind::binary) refuse("has x outside [0, 1]");
  if (label->second.kind != ValueKind::category || !label->second.shape.empty()) refuse("has a label that is no class");
  if (x->second.may_be_missing || label->second.may_be_missing) {
    throw ConfigError("data.base.missing: the base of poly is whole; say it in data.missing, of m0, m1, …");
  }
}

}  // namespace

std::shared_ptr<Dataset> make_poly(const PolyConfig& config, const DataContext& context) {
  const auto base = config.base.make(context);
  check_base(config.base.type(), base->spec());
  const auto builder = std::make_shared<const PolyBuilder>(config, base, context.seed);
  RowSource source;
  source.where = "data set poly";
  source.spec["label"] = base->spec().at("label");
  for (int64_t m = 0; m < config.modalities; ++m) {
    source.spec[text("m", m)] = {.shape = {3, config.size, config.size}, .kind = ValueKind::unit, .levels = 256};
  }
  int64_t begin = 0;
  for (const Split split : {Split::train, Split::valid, Split::test}) {
    source.rows[static_cast<size_t>(split)] = torch::arange(begin, begin + builder->num_rows(split));
    begin += builder->num_rows(split);
  }
  source.num_bytes = 2 * begin * config.modalities * 3 * config.size * config.size;
  source.read = [builder] { return builder->build(); };
  return std::make_shared<MemoryDataset>(std::move(source),
                                         DataOptions{.batch_size = config.batch_size, .missing = config.missing}, context.seed);
}

}  // namespace elbo
