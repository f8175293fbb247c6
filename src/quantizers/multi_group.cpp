#include "elbo/quantizers/multi_group.h"

#include <algorithm>
#include <cmath>

#include "elbo/base/error.h"
#include "elbo/math/precision.h"
#include "elbo/quantizers/pending_tokens.h"
#include "elbo/quantizers/tokens.h"

namespace elbo {
namespace {

/// A linear map of each group by itself, a 1x1 convolution with G groups. Parameters: weight [G, D, D] (in, out), bias [G, D].
class GroupedLinear final : public torch::nn::Module {
 public:
  GroupedLinear(int64_t groups, int64_t size, Stream& init) {
    const double bound = 1 / std::sqrt(static_cast<double>(size));
    weight_ = register_parameter("weight", (init.uniform({groups}, {size, size}) * 2 - 1) * bound);
    bias_ = register_parameter("bias", (init.uniform({groups}, {size}) * 2 - 1) * bound);
  }
  /// Shapes: [..., G, D] -> [..., G, D].
  Tensor forward(const Tensor& x) const {
    const FullPrecisionScope precise(x.device());
    return torch::matmul(x.unsqueeze(-2), weight_).squeeze(-2) + bias_;
  }

 private:
  Tensor weight_, bias_;
};

class MultiGroup final : public Quantizer {
 public:
  MultiGroup(const MultiGroupConfig& config, const QuantizerContext& context)
      : config_(config),
        commitment_("commitment", config.commitment, context.device),
        codebook_weight_("codebook_weight", config.codebook_weight, context.device),
        masking_scale_("masking_scale", config.masking_scale, context.device),
        pending_(static_cast<size_t>(config.groups)) {
    const auto G = config.groups, V = config.codes, D = config.code_size;
    check_codebook(G * V, D, "multi_group");
    codes_ = register_parameter("codes", unit_rows(context.init.normal({G, V}, {D})));
    use_ = register_buffer("use", torch::zeros({G, V}));
    if (!config.projections) return;
    input_ = register_module("input", std::make_shared<GroupedLinear>(G, D, context.init));
    output_ = register_module("output", std::make_shared<GroupedLinear>(G, D, context.init));
  }

  Quantization forward(const Tensor& z, Step& step, const Tensor& mask) override {
    check_tokens(z, mask, size(), "multi_group");
    const auto u = directions(fill_left_out(full_precision(z), mask, 0));
    const auto codes = unit_rows(codes_);
    const auto kept = step.training && !config_.masking.empty() ? kept_groups(z.size(0), step) : Tensor();
    std::vector<Tensor> values, indices;
    auto codebook = torch::zeros({z.size(0)}, u.options()), commitment = codebook;
    for (int64_t g = 0; g < config_.groups; ++g) {
      const auto tokens = u.select(-2, g);
      const auto group_mask = kept.defined() ? of_group(kept.select(1, g), tokens, mask) : mask;
      const auto index = nearest_indices(CodeMetric::euclidean, tokens, codes[g], group_mask);
      const auto code = look_up(codes[g], index);
      const auto value = pass_gradient(tokens, code.to(tokens.scalar_type()), GradientEstimator::straight_through);
      values.push_back(fill_left_out(value, group_mask, 0));
      indices.push_back(index);
      codebook = codebook + squared_error(tokens.detach(), code, group_mask);
      commitment = commitment + squared_error(tokens, code.detach(), group_mask);
      if (step.training) pending_[static_cast<size_t>(g)].add(tokens, index, group_mask, step);
    }
    Quantization result{.value = decoded(torch::stack(values, -2)), .indices = torch::cat(indices, -1)};
    if (!output_) result.target = u.detach().flatten(-2);
    const auto elements = elements_of(z);
    result.terms = {{"codebook", codebook, codebook_weight_.tensor(), elements},
                    {"commitment", commitment, commitment_.tensor(), elements}};
    result.readings = {{"drawn", cvq_pull(use_[0], config_.decay).mean()}};
    return result;
  }

  Tensor encode(const Tensor& z) override {
    check_tokens(z, {}, size(), "multi_group");
    const torch::NoGradGuard no_grad;
    const auto u = directions(full_precision(z));
    const auto codes = unit_rows(codes_);
    std::vector<Tensor> indices;
    for (int64_t g = 0; g < config_.groups; ++g) {
      indices.push_back(nearest_indices(CodeMetric::euclidean, u.select(-2, g), codes[g]));
    }
    return torch::cat(indices, -1);
  }

  /// Of all groups or of the first ones, as many as there are columns; the others are zeros.
  Tensor decode(const Tensor& indices) override {
    const auto codes = unit_rows(codes_);
    const auto left_out = torch::full_like(indices.narrow(-1, 0, 1), -1);
    std::vector<Tensor> values;
    for (int64_t g = 0; g < config_.groups; ++g) {
      values.push_back(look_up(codes[g], g < indices.size(-1) ? indices.narrow(-1, g, 1) : left_out));
    }
    return decoded(torch::stack(values, -2));
  }

  CodeSpace code_space() const override {
    return {.input_size = size(),
            .output_size = size(),
            .sizes = std::vector<int64_t>(static_cast<size_t>(config_.groups), config_.codes)};
  }
  Tensor codebook(int64_t group) override { return unit_rows(codes_[group]); }
  std::vector<Scheduled> scheduled() override { return {commitment_, codebook_weight_, masking_scale_}; }

  void after_step(const Step& step) override {
    for (int64_t g = 0; g < config_.groups; ++g) {
      const auto rows = pending_[static_cast<size_t>(g)].take();
      if (rows.tokens.defined() && rows.tokens.size(0) > 0) draw_rare_codes(g, rows, step);
    }
  }

 private:
  int64_t size() const { return config_.groups * config_.code_size; }

  /// Shapes: [B, ..., G D] -> [B, ..., G, D], each of length 1.
  Tensor directions(const Tensor& z) const {
    const auto groups = z.unflatten(-1, Shape{config_.groups, config_.code_size});
    return unit_rows(input_ ? input_->forward(groups) : groups);
  }
  Tensor decoded(const Tensor& groups) const { return (output_ ? output_->forward(groups) : groups).flatten(-2); }

  /// One number an example against rising probabilities: where a group is left out, all later ones are. Shapes: bool [B, G].
  Tensor kept_groups(int64_t B, Step& step) const {
    const auto uniform = step.noise.uniform({1, B}, {1})[0];
    std::vector<Tensor> kept;
    for (int64_t g = 0; g < config_.groups; ++g) {
      const auto p = config_.masking[std::min(static_cast<size_t>(g), config_.masking.size() - 1)];
      kept.push_back(uniform.ge(masking_scale_.tensor() * p));
    }
    return torch::cat(kept, 1);
  }

  static Tensor of_group(const Tensor& kept, const Tensor& tokens, const Tensor& mask) {
    Shape shape(static_cast<size_t>(tokens.dim() - 1), 1);
    shape[0] = tokens.size(0);
    const auto examples = kept.view(shape).expand(tokens.sizes().slice(0, tokens.dim() - 1));
    return mask.defined() ? examples.logical_and(mask) : examples.contiguous();
  }

  void draw_rare_codes(int64_t g, const PendingTokens::Rows& rows, const Step& step) {
    const auto count = code_statistics(rows, config_.codes, step.collective).count;
    auto use = use_[g];
    use.mul_(config_.decay).add_(count / count.sum(), 1 - config_.decay);
    const auto pull = cvq_pull(use, config_.decay);
    const auto codes = unit_rows(codes_[g].detach());
    const auto anchors = of_first_process(
        cvq_anchors(config_.anchor, CodeMetric::euclidean, rows.tokens, codes, pull, step.streams.model), step.collective);
    const auto by = torch::where(anchors.isfinite().all(1), pull, torch::zeros_like(pull)).unsqueeze(1);
    codes_.data()[g].copy_(torch::where(by > 0, (1 - by) * codes + by * anchors, codes_[g].detach()));
  }

  MultiGroupConfig config_;
  Scheduled commitment_, codebook_weight_, masking_scale_;
  Tensor codes_, use_;
  std::shared_ptr<GroupedLinear> input_ = nullptr, output_ = nullptr;
  std::vector<PendingTokens> pending_;
};

constexpr auto kMaskingFalls = "probabilities must rise: where a group is left out, all later ones are";

bool masking_rises(const MultiGroupConfig& config) { return std::is_sorted(config.masking.begin(), config.masking.end()); }

}  // namespace

void MultiGroupConfig::check(Relations& relations) const {
  if (!masking_rises(*this)) relations.problem("masking", kMaskingFalls);
}

std::shared_ptr<Quantizer> make_multi_group(const MultiGroupConfig& config, const QuantizerContext& context) {
  if (!masking_rises(config)) throw ConfigError(std::string("quantizer multi_group: masking: ") + kMaskingFalls);
  return std::make_shared<MultiGroup>(config, context);
}

}  // namespace elbo
