#include "presentation.h"

#include "elbo/base/error.h"
#include "elbo/base/text.h"
#include "elbo/data/kind_name.h"

namespace elbo::detail {

Tensor numbers(const Tensor& stored, const FieldSpec& spec) {
  Tensor values = stored.to(torch::kFloat);
  if (spec.kind == ValueKind::unit && stored.scalar_type() == torch::kByte) values.div_(static_cast<double>(spec.levels - 1));
  return values;
}

Presentation::Presentation(const FieldSpec& stored, const DataOptions& options, uint64_t seed)
    : stored_(stored), seen_(stored), options_(options), seed_(seed) {
  const std::string kind(kind_name(stored.kind));
  if (options.flip && stored.shape.size() != 3) {
    throw ConfigError("data.flip: needs images [C, H, W], but field 'x' is " + shape_text(stored.shape) + "; leave it out");
  }
  if (options.dequantize && stored.levels < 2) {
    throw ConfigError("data.dequantize: needs grey levels, but field 'x' is " + kind + " without any; leave it out");
  }
  if (options.dequantize && options.binarize != Binarize::none) {
    throw ConfigError("data.dequantize: makes grey levels continuous, which data.binarize turns into 0 and 1; keep one of them");
  }
  check_coarse();
  if (options.binarize == Binarize::none || stored.kind == ValueKind::binary) return;
  if (stored.kind != ValueKind::unit) {
    throw ConfigError("data.binarize: needs values in [0, 1], but field 'x' is " + kind +
                      "; leave it at none, or set data.values to unit if the values are in [0, 1]");
  }
  seen_.kind = ValueKind::binary;
  seen_.levels = 0;
}

void Presentation::check_coarse() const {
  const auto side = options_.coarse;
  if (side == 1) return;
  if (stored_.shape.size() != 3) {
    throw ConfigError("data.coarse: needs images [C, H, W], but field 'x' is " + shape_text(stored_.shape) + "; leave it out");
  }
  if (stored_.kind == ValueKind::binary || options_.binarize != Binarize::none) {
    throw ConfigError("data.coarse: means of pixels that are 0 or 1 are neither; leave it out, or keep grey values");
  }
  if (stored_.shape[1] % side != 0 || stored_.shape[2] % side != 0) {
    throw ConfigError(text("data.coarse: squares of ", side, " x ", side, " don't fill pictures of ", stored_.shape[1], " x ",
                           stored_.shape[2], "; choose a side that divides both"));
  }
}

Tensor Presentation::coarse(const Tensor& pictures) const { return torch::avg_pool2d(pictures, options_.coarse); }

void Presentation::describe(DataSpec& spec) const {
  auto& x = spec["x"] = seen_;
  if (options_.coarse == 1) return;
  spec["target"] = seen_;
  for (const size_t axis : {1, 2}) x.shape[axis] /= options_.coarse;
  x.levels = 0;
}

void Presentation::add_to(Batch& batch, const Tensor& rows, Split split, Stream& stream, Bits bits) const {
  const auto pictures = present(rows, split, batch.index, stream, bits);
  batch.fields["x"].value = options_.coarse == 1 ? pictures : coarse(pictures);
  if (options_.coarse > 1) batch.fields["target"].value = pictures;
}

Tensor Presentation::uniform(const Tensor& like, Split split, const Tensor& index, Stream& stream) const {
  const auto event = like.sizes().slice(1);
  const bool fixed = split != Split::train || options_.binarize == Binarize::once;
  if (!fixed) return stream.uniform({like.size(0)}, event).to(like.device());
  Stream own(seed_, "rows", at::kCPU);
  Tensor u = torch::empty(like.sizes(), torch::kFloat);
  const auto places = index.accessor<int64_t, 1>();
  for (int64_t row = 0; row < like.size(0); ++row) {
    own.rekey(3 * places[row] + static_cast<int64_t>(split));
    u[row].copy_(own.uniform({1}, event)[0]);
  }
  return u.to(like.device());
}

Tensor Presentation::present(const Tensor& rows, Split split, const Tensor& index, Stream& stream, Bits bits) const {
  Tensor x = rows;
  if (options_.flip && split == Split::train) {
    const Tensor mirrored = stream.uniform({rows.size(0)}, {}).lt(0.5).to(rows.device());
    x = torch::where(mirrored.view({-1, 1, 1, 1}), x.flip(-1), x);
  }
  if (options_.dequantize) {
    const Tensor u = uniform(x, split, index, stream);
    return x.scalar_type() == torch::kByte
               ? u.add_(x).div_(static_cast<double>(stored_.levels))
               : u.add_(x, static_cast<double>(stored_.levels - 1)).div_(static_cast<double>(stored_.levels));
  }
  if (seen_.kind != ValueKind::binary || stored_.kind == ValueKind::binary || bits == Bits::drawn) {
    return bits == Bits::drawn ? x.to(torch::kFloat) : numbers(x, stored_);
  }
  const Tensor p = numbers(x, stored_);
  if (options_.binarize == Binarize::threshold) return p.ge(0.5).to(torch::kFloat);
  return (uniform(p, split, index, stream) < p).to(torch::kFloat);
}

Tensor Presentation::mean(const Tensor& of_numbers) const {
  Tensor mean = of_numbers;
  if (options_.flip) mean = (mean + mean.flip(-1)) / 2;
  if (options_.dequantize) {
    const auto levels = static_cast<double>(stored_.levels);
    mean = (mean * (levels - 1) + 0.5) / levels;
  }
  return options_.coarse == 1 ? mean : coarse(mean);
}

std::string Presentation::fingerprint() const {
  return (options_.flip ? std::string("flip\n") : std::string()) + (options_.dequantize ? text("dequantize ", seed_, "\n") : "") +
         (options_.coarse > 1 ? text("coarse ", options_.coarse, "\n") : "");
}

}  // namespace elbo::detail
