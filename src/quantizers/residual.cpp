#include "elbo/quantizers/residual.h"

#include <utility>

#include "elbo/base/error.h"
#include "elbo/math/precision.h"
#include "elbo/quantizers/codebook.h"
#include "elbo/quantizers/tokens.h"
#include "nested.h"

namespace elbo {
namespace {

class Residual final : public Quantizer {
 public:
  Residual(const ResidualConfig& config, const QuantizerContext& context)
      : config_(config), levels_(*this, config.quantizer, config.levels, config.shared, "level", context) {
    const auto& space = levels_.space();
    if (space.input_size != space.output_size) {
      throw ConfigError("quantizer residual: codes must be as large as tokens, " + config.quantizer.str() + " has " +
                        std::to_string(space.output_size) + " numbers for " + std::to_string(space.input_size));
    }
    if (config.dropout > 0 && !space.bounded()) {
      throw ConfigError("quantizer residual: " + config.quantizer.str() +
                        " has no index that says 'left out', so dropout must be 0");
    }
  }

  Quantization forward(const Tensor& z, Step& step, const Tensor& mask) override {
    check_tokens(z, mask, levels_.space().input_size, "residual");
    const auto tokens = fill_left_out(full_precision(z), mask, 0);
    const auto used = step.training && config_.dropout > 0 ? levels_used(z.size(0), step) : Tensor();
    Quantization result;
    std::vector<Tensor> indices;
    auto total = Tensor();
    auto left = tokens;  // lives on: the terms of every level reach z, the codes of the levels before are constants
    for (int64_t l = 0; l < levels_.parts(); ++l) {
      const auto level_mask = used.defined() ? where_used(used.gt(l), tokens, mask) : mask;
      auto level = levels_.of(l).forward(left, step, level_mask);
      if (level.log_probs.defined()) {
        throw UsageError("residual: " + config_.quantizer.str() +
                         " assigns codes softly, levels need hard ones; use it by itself or in a product");
      }
      const auto code = fill_left_out(level.value.detach(), level_mask, 0);
      total = total.defined() ? total + code : code;
      left = left - code;
      indices.push_back(level.indices);
      add_level(result, level, l, used);
    }
    result.value = fill_left_out(pass_gradient(tokens, total, config_.gradient), mask, 0);
    result.indices = torch::cat(indices, -1);
    return result;
  }

  Tensor encode(const Tensor& z) override {
    check_tokens(z, {}, levels_.space().input_size, "residual");
    const torch::NoGradGuard no_grad;
    std::vector<Tensor> indices;
    auto left = full_precision(z.detach());
    for (int64_t l = 0; l < levels_.parts(); ++l) {
      indices.push_back(levels_.of(l).encode(left));
      left = left - levels_.of(l).decode(indices.back());
    }
    return torch::cat(indices, -1);
  }

  /// Of all levels or of the first ones, as many as there are columns.
  Tensor decode(const Tensor& indices) override {
    auto total = Tensor();
    for (int64_t l = 0; l < indices.size(-1) / levels_.space().groups(); ++l) {
      const auto index = levels_.indices_of(indices, l);
      auto code = Tensor();
      if (levels_.space().bounded()) {
        const auto left_out = index.lt(0).all(-1, /*keepdim=*/true);
        code = levels_.of(l).decode(index.masked_fill(left_out, 0)).masked_fill(left_out, 0);
      } else {
        code = levels_.of(l).decode(index);
      }
      total = total.defined() ? total + code : code;
    }
    return total;
  }

  CodeSpace code_space() const override {
    return {.input_size = levels_.space().input_size, .output_size = levels_.space().output_size, .sizes = levels_.sizes()};
  }
  Tensor codebook(int64_t group) override { return levels_.codebook(group); }
  std::vector<Scheduled> scheduled() override { return levels_.scheduled(); }
  Tensor code_length(const Tensor& indices) const override { return levels_.code_length(indices); }

  /// Level by level on what the levels before leave over; one that all share sees the tokens themselves.
  void initialise(const Tensor& z, Step& step) override {
    if (levels_.shared()) return levels_.of(0).initialise(z, step);
    auto left = full_precision(z);
    for (int64_t l = 0; l < levels_.parts(); ++l) {
      levels_.of(l).initialise(left, step);
      left = left - levels_.of(l).decode(levels_.of(l).encode(left));
    }
  }

 private:
  /// Levels that each example uses, [B] from 1 to L.
  Tensor levels_used(int64_t B, Step& step) const {
    const auto L = static_cast<double>(levels_.parts());
    const auto uniform = step.noise.uniform({1, B}, {2})[0];
    const auto drawn = (uniform.select(1, 1) * L).floor().clamp_max(L - 1) + 1;
    return torch::where(uniform.select(1, 0) < config_.dropout, drawn, torch::full({}, L, drawn.options()));
  }

  static Tensor where_used(const Tensor& examples, const Tensor& tokens, const Tensor& mask) {
    Shape shape(static_cast<size_t>(tokens.dim() - 1), 1);
    shape[0] = tokens.size(0);
    const auto used = examples.view(shape);
    return mask.defined() ? used.logical_and(mask) : used.expand(tokens.sizes().slice(0, tokens.dim() - 1)).contiguous();
  }

  void add_level(Quantization& result, Quantization& level, int64_t l, const Tensor& used) const {
    const auto L = static_cast<double>(levels_.parts());
    for (auto& term : level.terms) {
      term.name = levels_.prefix(l) + term.name;
      term.value = used.defined() && term.value.dim() > 0 ? term.value / used.to(term.value.scalar_type()) : term.value / L;
      result.terms.push_back(std::move(term));
    }
    for (const auto& reading : level.readings) result.readings.push_back({levels_.prefix(l) + reading.name, reading.value});
  }

  ResidualConfig config_;
  detail::NestedQuantizers levels_;
};

}  // namespace

std::shared_ptr<Quantizer> make_residual(const ResidualConfig& config, const QuantizerContext& context) {
  return std::make_shared<Residual>(config, context);
}

}  // namespace elbo
