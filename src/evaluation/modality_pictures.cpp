#include "elbo/evaluation/modality_pictures.h"

#include <algorithm>
#include <cmath>

#include "elbo/base/error.h"
#include "elbo/base/text.h"
#include "elbo/data/bezier_path.h"
#include "elbo/evaluation/subset_likelihood.h"
#include "glyphs.h"

namespace elbo {
namespace {

constexpr int kLeastSide = 84;  // 28 x 28 three times enlarged
constexpr int kPathSize = 64;
constexpr int kGap = 2, kWideGap = 12, kTitleHeight = 18;
constexpr int kTilesAcross = 16;
constexpr uint8_t kGround = 64, kInk = 230;  // the ground is between black and white, so that a tile's edge shows either way

Image blank(int width, int height, uint8_t grey) {
  return {.width = width,
          .height = height,
          .channels = 3,
          .pixels = std::vector<uint8_t>(static_cast<size_t>(width) * static_cast<size_t>(height) * 3, grey)};
}

void paste(Image& onto, const Image& tile, int left, int top) {
  for (int y = 0; y < tile.height; ++y) {
    const auto from = tile.pixels.begin() + static_cast<std::ptrdiff_t>(y) * tile.width * 3;
    std::copy(from, from + tile.width * 3, onto.pixels.begin() + (static_cast<std::ptrdiff_t>(top + y) * onto.width + left) * 3);
  }
}

/// As large as it fits, cut off where it doesn't even at the smallest size.
void write_inside(Image& image, int left, int top, int width, int height, std::string_view words, int largest) {
  int scale = largest;
  while (scale > 1 && (detail::text_width(words, scale) > width || detail::kGlyphHeight * scale > height)) --scale;
  while (!words.empty() && detail::text_width(words, scale) > width) words.remove_suffix(1);
  detail::draw_text(image, left + (width - detail::text_width(words, scale)) / 2,
                    top + (height - detail::kGlyphHeight * scale) / 2, words, scale, kInk);
}

bool is_picture(const FieldSpec& spec) { return spec.shape.size() == 3 && (spec.shape[0] == 1 || spec.shape[0] == 3); }

/// How one modality becomes tiles.
class Painter {
 public:
  Painter(std::string field, const FieldSpec& spec) : field_(std::move(field)), spec_(spec) {}

  int least_side() const {
    if (is_picture(spec_)) return static_cast<int>(std::max(spec_.shape[1], spec_.shape[2]));
    return is_path() ? kPathSize : 1;
  }
  /// Shapes: value [event...] on the host.
  Image tile(const Tensor& value, int side) const {
    if (is_picture(spec_)) return centred(value.to(at::kFloat), side);
    if (is_path()) return centred(rasterise_path(value.to(at::kFloat), kPathSize).to(at::kFloat).unsqueeze(0) / 16.0, side);
    auto image = blank(side, side, 0);
    if (spec_.kind == ValueKind::category && value.numel() == 1) {
      write_inside(image, side / 8, side / 8, side * 3 / 4, side * 3 / 4, std::to_string(value.item<int64_t>()), side);
      return image;
    }
    return cells(value, side);
  }

 private:
  bool is_path() const { return field_ == "path" && spec_.shape.size() == 2 && spec_.shape[1] == 8; }

  /// Enlarged by a whole factor. Shapes: [1 or 3, H, W] in [0, 1].
  static Image centred(const Tensor& picture, int side) {
    const auto bytes = (picture.nan_to_num(0).clamp(0, 1) * 255).round().to(at::kByte).expand({3, -1, -1}).contiguous();
    const auto height = static_cast<int>(bytes.size(1)), width = static_cast<int>(bytes.size(2));
    const int scale = std::max(1, side / std::max(width, height));
    auto image = blank(side, side, kGround);
    const int left = (side - width * scale) / 2, top = (side - height * scale) / 2;
    const auto* from = bytes.const_data_ptr<uint8_t>();
    for (int y = 0; y < height * scale; ++y) {
      for (int x = 0; x < width * scale; ++x) {
        for (int c = 0; c < 3; ++c) {
          image.pixels[(static_cast<size_t>(top + y) * static_cast<size_t>(side) + static_cast<size_t>(left + x)) * 3 +
                       static_cast<size_t>(c)] = from[(c * height + y / scale) * width + x / scale];
        }
      }
    }
    return image;
  }

  /// Rows of numbers as they stand, of a vector as many as make a square.
  Image cells(const Tensor& value, int side) const {
    auto numbers = value.to(at::kFloat).nan_to_num(0).reshape({-1});
    if (spec_.kind == ValueKind::real || spec_.kind == ValueKind::table) numbers = numbers.sigmoid();
    if (spec_.kind == ValueKind::category) numbers = numbers / static_cast<double>(std::max<int64_t>(1, spec_.num_classes - 1));
    const auto columns = value.dim() == 2 && value.size(1) <= side
                             ? value.size(1)
                             : static_cast<int64_t>(std::ceil(std::sqrt(static_cast<double>(numbers.numel()))));
    const auto across = std::min<int64_t>(columns, side);
    const auto down = std::min<int64_t>((numbers.numel() + across - 1) / across, side);
    numbers = torch::constant_pad_nd(numbers, {0, std::max<int64_t>(0, across * down - numbers.numel())});
    return centred(numbers.narrow(0, 0, across * down).view({1, down, across}), side);
  }

  std::string field_;
  FieldSpec spec_;
};

class Painters {
 public:
  Painters(const Multimodal& model, const DataSpec& spec) {
    for (const auto& name : model.modalities()) {
      const auto field = model.field_of(name);
      const auto& painter = painters_.emplace(name, Painter(field, spec.at(field))).first->second;
      side_ = std::max(side_, painter.least_side());
    }
  }
  int side() const { return side_; }
  int step() const { return side_ + kGap; }
  Image tile(const std::string& modality, const Tensor& value) const { return painters_.at(modality).tile(value, side_); }

 private:
  std::map<std::string, Painter> painters_ = {};
  int side_ = kLeastSide;
};

/// Shapes: z [B, D] drawn, made farther from or nearer to its mean.
void tempered(Latents& latents, double temperature) {
  for (auto& layer : latents.layers) {
    if (temperature == 1) continue;
    const auto mean = layer.q->mean();
    layer.z = mean + temperature * (layer.z - mean);
  }
}

Subset held_by(const Multimodal& model, const Batch& batch) {
  Subset held;
  for (const auto& name : model.modalities()) {
    if (batch.has(model.field_of(name))) held.push_back(name);
  }
  return held;
}

}  // namespace

ModalityValues shown_values(Multimodal& model, const DataSpec& spec, const Latents& latents, const Batch& batch) {
  ModalityValues shown;
  for (const auto& observation : model.decode(latents, batch, model.modalities())) {
    const auto& field = spec.at(model.field_of(observation.name));
    const auto value = field.kind == ValueKind::category ? observation.likelihood->mode() : observation.likelihood->mean();
    shown[observation.name] = value.select(0, 0).cpu();  // of K = 1
  }
  return shown;
}

ModalityValues conditional_samples(Multimodal& model, const DataSpec& spec, const Batch& given, double temperature,
                                   Noise& noise) {
  const torch::NoGradGuard no_grad;
  const auto names = held_by(model, given);
  if (!names.empty() && !can_infer(model, names)) {
    const auto sources = model.aggregator().sources();
    throw UsageError(text("there is no q(z | ", join(names, ", "), "): aggregation '", model.aggregator().name(), "' encodes ",
                          sources.empty() ? "all modalities together" : join(sources, ", ")));
  }
  auto latents = model.condition(given, names, 1, noise);
  tempered(latents, temperature);
  // Nothing is to be read of the data but its rows.
  return shown_values(model, spec, latents, {.fields = {}, .index = given.index});
}

CrossGeneration cross_generation(Multimodal& model, const DataSpec& spec, const Batch& rows, Noise& noise) {
  CrossGeneration crossing;
  for (const auto& name : model.modalities()) crossing.originals[name] = rows.at(model.field_of(name)).cpu();
  auto sources = subsets_of(Subsets::singles, model.modalities());
  if (model.modalities().size() > 1) sources.push_back(model.modalities());
  for (const auto& source : sources) {
    if (!can_infer(model, source)) continue;
    Batch given{.fields = {}, .index = rows.index};
    for (const auto& name : source) given.fields[model.field_of(name)] = rows.fields.at(model.field_of(name));
    crossing.generated.emplace_back(source, conditional_samples(model, spec, given, 1, noise));
  }
  return crossing;
}

int64_t cross_generation_rows(size_t num_modalities) {
  return std::clamp<int64_t>(12 / static_cast<int64_t>(std::max<size_t>(1, num_modalities)), 3, 6);
}

Batch whole_rows(const Multimodal& model, const Dataset& dataset, Split split, int64_t count) {
  constexpr int64_t kAtMostRead = 512;
  Stream nothing(0, "pictures", at::kCPU);
  const auto all = torch::arange(std::min(kAtMostRead, dataset.size(split)));
  const auto first = dataset.gather(split, all, nothing);
  auto whole = torch::ones({all.size(0)}, torch::kBool);
  for (const auto& name : model.modalities()) {
    const auto& present = first.fields.at(model.field_of(name)).present;
    if (present.defined()) whole = whole & present.cpu();
  }
  auto chosen = all.masked_select(whole);
  if (chosen.size(0) == 0) chosen = all;
  return dataset.gather(split, chosen.narrow(0, 0, std::min(count, chosen.size(0))), nothing);
}

Image cross_generation_grid(const Multimodal& model, const DataSpec& spec, const CrossGeneration& crossing) {
  const Painters painters(model, spec);
  const auto& names = model.modalities();
  const auto rows = static_cast<int>(crossing.originals.begin()->second.size(0));
  std::vector<const std::pair<Subset, ModalityValues>*> blocks;
  for (const auto& source : crossing.generated) {
    if (source.first.size() == 1) blocks.push_back(&source);
  }
  const int columns = static_cast<int>(names.size()), step = painters.step();
  const int block_height = kTitleHeight + rows * step;
  auto image = blank(kGap + step + kWideGap + columns * step,
                     std::max(1, static_cast<int>(blocks.size()) * (block_height + kGap)), kGround);
  int top = 0;
  for (const auto* block : blocks) {
    const auto& source = block->first.front();
    write_inside(image, kGap, top, painters.side(), kTitleHeight, "from " + source, 2);
    for (int c = 0; c < columns; ++c) {
      write_inside(image, kGap + step + kWideGap + c * step, top, painters.side(), kTitleHeight, names[static_cast<size_t>(c)],
                   2);
    }
    for (int row = 0; row < rows; ++row) {
      const int y = top + kTitleHeight + row * step;
      paste(image, painters.tile(source, crossing.originals.at(source)[row]), kGap, y);
      for (int c = 0; c < columns; ++c) {
        const auto& name = names[static_cast<size_t>(c)];
        paste(image, painters.tile(name, block->second.at(name)[row]), kGap + step + kWideGap + c * step, y);
      }
    }
    top += block_height + kGap;
  }
  return image;
}

Image modality_grid(const Multimodal& model, const DataSpec& spec, const ModalityValues& given, const ModalityValues& drawn,
                    int64_t turns) {
  const Painters painters(model, spec);
  const auto& names = model.modalities();
  const auto count = drawn.begin()->second.size(0);
  struct Block {
    int64_t given = 0;
    std::vector<int64_t> rows = {};
  };
  std::vector<Block> blocks;
  for (int64_t turn = 0; turn < std::min(turns, count); ++turn) {
    for (int64_t i = turn; i < count; i += turns) {
      if (i == turn || blocks.back().rows.size() == kTilesAcross) blocks.push_back({.given = turn, .rows = {}});
      blocks.back().rows.push_back(i);
    }
  }
  constexpr size_t kMostBlocks = 64;
  if (blocks.size() > kMostBlocks) {
    throw UsageError(text("a picture of ", count, " draws of ", names.size(), " modalities is too large; draw at most ",
                          kMostBlocks * kTilesAcross));
  }
  const int step = painters.step(), left = kGap + step + (given.empty() ? 0 : step) + kWideGap;
  const int block_height = static_cast<int>(names.size()) * step + kWideGap;
  const auto across = static_cast<int>(blocks.front().rows.size());
  auto image = blank(left + across * step, kWideGap + static_cast<int>(blocks.size()) * block_height, kGround);
  int top = kWideGap;
  for (const auto& block : blocks) {
    for (size_t m = 0; m < names.size(); ++m) {
      const auto& name = names[m];
      const int y = top + static_cast<int>(m) * step;
      write_inside(image, kGap, y, painters.side(), painters.side(), name, 2);
      if (given.contains(name)) paste(image, painters.tile(name, given.at(name)[block.given]), kGap + step, y);
      for (size_t i = 0; i < block.rows.size(); ++i) {
        paste(image, painters.tile(name, drawn.at(name)[block.rows[i]]), left + static_cast<int>(i) * step, y);
      }
    }
    top += block_height;
  }
  return image;
}

}  // namespace elbo
