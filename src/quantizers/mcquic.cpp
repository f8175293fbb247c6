#include "elbo/quantizers/mcquic.h"

#include <algorithm>
#include <cmath>

#include "elbo/math/lower_bound.h"
#include "elbo/math/precision.h"
#include "elbo/quantizers/codebook.h"
#include "elbo/quantizers/gumbel.h"
#include "elbo/quantizers/tokens.h"

namespace elbo {

Tensor mcquic_logits(const Tensor& y, const Tensor& codes, const Tensor& temperature) {
  constexpr double kLeastTemperature = 1e-6;
  const auto squared = y.square().sum(1, true) + codes.square().sum(1) - 2 * torch::mm(y, codes.t());
  return -squared * (lower_bounded(temperature, kLeastTemperature) / std::sqrt(static_cast<double>(codes.size(0))));
}

Tensor mcquic_cosine(const Tensor& codes) {
  constexpr double kShortest = 1e-6;
  const auto V = codes.size(1);
  const auto unit = codes / codes.square().sum(-1, true).clamp_min(kShortest * kShortest).sqrt();
  const auto cosines = torch::relu(torch::bmm(unit, unit.transpose(1, 2)).triu(1));
  return cosines.sum() / std::max(1.0, 0.5 * static_cast<double>(V) * static_cast<double>(V - 1));
}

Reassignment mcquic_reassignment(const Tensor& drawn, Stream& stream) {
  const auto dead = drawn.eq(0).nonzero().squeeze(1);
  const auto used = drawn.gt(0).nonzero().squeeze(1);
  const auto count = std::min(dead.size(0), used.size(0));
  return {.to = dead.narrow(0, 0, count), .from = used.index_select(0, stream.permutation(used.size(0)).narrow(0, 0, count))};
}

namespace {

class McquicQuantizer final : public Quantizer {
 public:
  McquicQuantizer(const McquicQuantizerConfig& config, const QuantizerContext& context)
      : config_(config), relaxation_("temperature", config.temperature, context.device) {
    const auto D = config.code_size / config.groups;
    check_codebook(config.groups * config.codes, D, "mcquic");
    const double spread = std::sqrt(2.0 / (5.0 * static_cast<double>(D)));
    codes_ = register_parameter("codes", spread * context.init.normal({config.groups, config.codes}, {D}));
    temperature_ = register_parameter("temperature", torch::ones({config.groups}));
    use_ = register_buffer("use", torch::full({config.groups, config.codes}, 1.0 / static_cast<double>(config.codes)));
    drawn_ = register_buffer("drawn", torch::zeros({config.groups, config.codes}));
  }

  Quantization forward(const Tensor& z, Step& step, const Tensor& mask) override {
    check_tokens(z, mask, config_.code_size, "mcquic");
    const FullPrecisionScope precise(z.device());
    Quantization out;
    if (step.training) {
      out = draw(fill_left_out(z, mask, 0), mask, step);
      note(out.indices, step);
    } else {
      out.indices = fill_left_out(encode(z), mask, -1);
      out.value = decode(out.indices);
    }
    if (config_.cosine_weight > 0) {
      const auto cosine = mcquic_cosine(codes_);
      out.terms = {{.name = "codebook_cosine",
                    .value = cosine.expand({z.size(0)}),  // its mean over the batch counts it once
                    .weight = torch::full_like(cosine.detach(), config_.cosine_weight)}};
    }
    out.readings = {{"mean_temperature", temperature_.detach().mean()}, {"in_use", in_use().mean()}};
    return out;
  }

  Tensor encode(const Tensor& z) override {
    check_tokens(z, {}, config_.code_size, "mcquic");
    const torch::NoGradGuard no_grad;
    std::vector<Tensor> indices;
    for (int64_t g = 0; g < config_.groups; ++g) {
      indices.push_back(nearest_indices(CodeMetric::euclidean, group_of(z, g), codes_[g]));
    }
    return torch::cat(indices, -1);
  }
  Tensor decode(const Tensor& indices) override {
    std::vector<Tensor> parts;
    for (int64_t g = 0; g < config_.groups; ++g) parts.push_back(look_up(codes_[g], indices.narrow(-1, g, 1)));
    return torch::cat(parts, -1);
  }
  CodeSpace code_space() const override {
    return {.input_size = config_.code_size,
            .output_size = config_.code_size,
            .sizes = std::vector<int64_t>(static_cast<size_t>(config_.groups), config_.codes)};
  }
  Tensor codebook(int64_t group) override { return codes_[group]; }
  std::vector<Scheduled> scheduled() override { return {relaxation_}; }

  void after_step(const Step& step) override {
    if (!pending_.defined() || pending_step_ != step.index) return;
    const torch::NoGradGuard no_grad;
    auto counts = pending_;
    pending_.reset();
    step.collective.all_reduce_sum(counts);
    use_.mul_(config_.decay).add_(counts / counts.sum(1, true).clamp_min(1), 1 - config_.decay);
    drawn_.add_(counts);
    if (config_.reassign_every > 0 && (step.index + 1) % config_.reassign_every == 0) reassign(step);
  }

 private:
  Tensor group_of(const Tensor& z, int64_t g) const { return z.chunk(config_.groups, -1)[static_cast<size_t>(g)]; }

  /// The share of each group's codes that are in use, [G].
  Tensor in_use() const {
    const double least = 0.01 / static_cast<double>(config_.codes);
    return use_.gt(least).to(torch::kFloat).mean(1);
  }

  Quantization draw(const Tensor& z, const Tensor& mask, Step& step) {
    const auto tokens = z.sizes().slice(0, z.dim() - 1);
    std::vector<Tensor> values, indices;
    for (int64_t g = 0; g < config_.groups; ++g) {
      const auto logits = mcquic_logits(to_rows(group_of(z, g)), codes_[g], temperature_[g]);
      const auto uniform = [&] {
        return step.noise.uniform({1, tokens[0]}, joined(tokens.slice(1), {config_.codes})).reshape_as(logits);
      };
      auto perturbed = add_gumbel(logits, uniform());
      if (config_.random_drop) perturbed = perturbed.masked_fill(dropped(uniform(), g), kDropped);
      const auto index = perturbed.detach().argmax(1, true);
      const auto soft = (perturbed / relaxation_.tensor()).softmax(1);
      const auto hard = torch::zeros_like(soft).scatter_(1, index, 1) + (soft - soft.detach());  // exactly one-hot
      values.push_back(torch::mm(hard, codes_[g]));
      indices.push_back(index);
    }
    const auto shape = [&](const std::vector<Tensor>& rows) { return torch::cat(rows, 1).reshape(joined(tokens, {-1})); };
    return {.value = fill_left_out(shape(values), mask, 0), .indices = fill_left_out(shape(indices), mask, -1)};
  }

  /// Shapes: [N, V].
  Tensor dropped(const Tensor& uniform, int64_t g) const {
    const double bits = std::max(1.0, std::log2(static_cast<double>(config_.codes)));
    const auto exponent = bits - (bits - 1) * in_use()[g].square();
    const auto drop = uniform.pow(exponent) < use_[g];
    return drop.logical_and(drop.all(1, true).logical_not());  // something is left to draw
  }

  void note(const Tensor& indices, const Step& step) {
    const torch::NoGradGuard no_grad;
    if (!pending_.defined() || pending_step_ != step.index) pending_ = torch::zeros_like(use_);
    pending_step_ = step.index;
    const auto rows = indices.reshape({-1, config_.groups}).t();  // [G, N]
    pending_.scatter_add_(1, rows.clamp_min(0), rows.ge(0).to(pending_.scalar_type()));
  }

  void reassign(const Step& step) {
    const auto codes = codes_.detach();
    for (int64_t g = 0; g < config_.groups; ++g) {
      const auto chosen = mcquic_reassignment(drawn_[g], step.streams.model);
      codes[g].index_copy_(0, chosen.to, codes[g].index_select(0, chosen.from));
    }
    drawn_.zero_();
  }

  static constexpr double kDropped = -1e9;

  McquicQuantizerConfig config_;
  Scheduled relaxation_;
  Tensor codes_, temperature_, use_, drawn_;
  Tensor pending_;  // [G, V], of the step that is under way
  int64_t pending_step_ = -1;
};

}  // namespace

std::shared_ptr<Quantizer> make_mcquic_quantizer(const McquicQuantizerConfig& config, const QuantizerContext& context) {
  return std::make_shared<McquicQuantizer>(config, context);
}

}  // namespace elbo
