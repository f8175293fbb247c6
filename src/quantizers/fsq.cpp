#include "elbo/quantizers/fsq.h"

#include <torch/csrc/autograd/custom_function.h>

#include <cmath>

#include "constant.h"
#include "elbo/base/error.h"
#include "elbo/math/precision.h"
#include "elbo/quantizers/codebook.h"
#include "elbo/quantizers/tokens.h"

namespace elbo {
namespace {

constexpr double kFsqSlack = 1e-3;  // keeps the outermost levels within reach of tanh
constexpr double kFsqBits = 62;

/// Level l of a channel, counted from 0, is round(tanh(z + shift) * half - offset) + centre; its value is
/// (l - centre) / scale + start.
struct FsqChannel {
  double half = 0, offset = 0, shift = 0, centre = 0, scale = 1, start = 0;
};

FsqChannel fsq_channel(int64_t levels, FsqBound bound) {
  const auto L = static_cast<double>(levels);
  if (bound == FsqBound::symmetric) return {.half = (L - 1) / 2, .offset = -(L - 1) / 2, .scale = (L - 1) / 2, .start = -1};
  const double half = (L - 1) * (1 + kFsqSlack) / 2;
  const double offset = levels % 2 == 0 ? 0.5 : 0;
  const double centre = std::floor(L / 2);
  return {.half = half, .offset = offset, .shift = std::atanh(offset / half), .centre = centre, .scale = centre};
}

/// Rows half, offset, shift, centre, scale, start, [6, D].
Tensor fsq_table(const FsqConfig& config) {
  auto table = torch::empty({6, static_cast<int64_t>(config.levels.size())}, torch::kDouble);
  for (size_t i = 0; i < config.levels.size(); ++i) {
    const auto c = fsq_channel(config.levels[i], config.bound);
    table.select(1, static_cast<int64_t>(i))
        .copy_(torch::tensor({c.half, c.offset, c.shift, c.centre, c.scale, c.start}, torch::kDouble));
  }
  return table;
}

Tensor fsq_basis(const FsqConfig& config) {
  auto basis = torch::ones({static_cast<int64_t>(config.levels.size())}, torch::kLong);
  for (size_t i = 1; i < config.levels.size(); ++i) {
    const auto at = static_cast<int64_t>(i);
    basis[at] = basis[at - 1] * config.levels[i - 1];
  }
  return basis;
}

double fsq_bits(const FsqConfig& config) {
  double bits = 0;
  for (const auto levels : config.levels) bits += std::log2(static_cast<double>(levels));
  return bits;
}

std::string fsq_too_many(const FsqConfig& config) {
  return "2^" + std::to_string(static_cast<int64_t>(std::ceil(fsq_bits(config)))) +
         " codes don't fit an index of 62 bits: give fewer levels, or split the channels with quantizer product";
}

/// The values of levels. Shapes: [..., D] both, level counted from -centre.
Tensor fsq_value(const Tensor& level, const Tensor& table) { return level / table[4] + table[5]; }

/// half * (1 - tanh^2) / scale.
struct FsqRound : torch::autograd::Function<FsqRound> {
  static Tensor forward(torch::autograd::AutogradContext* context, const Tensor& z, const Tensor& level, const Tensor& table) {
    context->save_for_backward({z});
    context->saved_data["table"] = table;
    return fsq_value(level, table);
  }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 const torch::autograd::variable_list& gradients) {
    const auto z = context->get_saved_variables()[0];
    const auto table = context->saved_data["table"].toTensor();
    const auto slope = (1 - (z + table[2]).tanh().square()) * (table[0] / table[4]);
    return {gradients[0] * slope, Tensor(), Tensor()};
  }
};

class Fsq final : public Quantizer {
 public:
  explicit Fsq(const FsqConfig& config)
      : config_(config),
        table_(fsq_table(config)),
        basis_(fsq_basis(config)),
        levels_(torch::tensor(config.levels, torch::kLong)) {
    num_codes_ = 1;
    for (const auto levels : config.levels) num_codes_ *= levels;
  }

  Quantization forward(const Tensor& z, Step&, const Tensor& mask) override {
    check_tokens(z, mask, code_size(), "fsq");
    const auto full = fill_left_out(full_precision(z), mask, 0);
    const auto& table = table_.like(full);
    const auto bounded = bounded_of(full);
    const auto level = level_of(bounded);
    Quantization result{.value = fill_left_out(FsqRound::apply(full, level, table), mask, 0),
                        .indices = fill_left_out(index_of(level), mask, -1)};
    result.target = fsq_value(bounded, table);
    return result;
  }

  Tensor encode(const Tensor& z) override {
    check_tokens(z, {}, code_size(), "fsq");
    return index_of(level_of(bounded_of(full_precision(z))));
  }

  Tensor decode(const Tensor& indices) override {
    const auto& table = table_.on(indices.device(), torch::kFloat);
    const auto digit = indices.div(basis_.like(indices), "floor").remainder(levels_.like(indices));
    return fsq_value(digit.to(torch::kFloat) - table[3], table).masked_fill(indices.lt(0), 0);
  }

  CodeSpace code_space() const override { return {.input_size = code_size(), .output_size = code_size(), .sizes = {num_codes_}}; }

  Tensor codebook(int64_t) override {
    if (num_codes_ > kLargestTable) return {};
    const auto device = table_.device();
    return decode(torch::arange(num_codes_, torch::TensorOptions(torch::kLong).device(device)).unsqueeze(1));
  }

 private:
  static constexpr int64_t kLargestTable = 1 << 16;

  int64_t code_size() const { return static_cast<int64_t>(config_.levels.size()); }

  /// Levels before they are rounded. Gradient: none.
  Tensor bounded_of(const Tensor& z) {
    const torch::NoGradGuard no_grad;
    const auto& table = table_.like(z);
    return (z + table[2]).tanh() * table[0] - table[1];
  }
  Tensor level_of(const Tensor& bounded) const {
    return config_.bound == FsqBound::symmetric ? (bounded + 0.5).floor() : bounded.round();
  }

  /// Shapes: [..., D] -> [..., 1].
  Tensor index_of(const Tensor& level) {
    const auto digit = (level + table_.like(level)[3]).to(torch::kLong);
    return (digit * basis_.like(digit)).sum(-1, /*keepdim=*/true);
  }

  FsqConfig config_;
  int64_t num_codes_ = 1;
  detail::Constant table_, basis_, levels_;
};

}  // namespace

void FsqConfig::check(Relations& relations) const {
  if (fsq_bits(*this) > kFsqBits) relations.problem("levels", fsq_too_many(*this));
}

std::shared_ptr<Quantizer> make_fsq(const FsqConfig& config, const QuantizerContext&) {
  if (fsq_bits(config) > kFsqBits) throw ConfigError("quantizer fsq: " + fsq_too_many(config));
  return std::make_shared<Fsq>(config);
}

}  // namespace elbo
