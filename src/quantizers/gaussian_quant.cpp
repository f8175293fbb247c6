#include "elbo/quantizers/gaussian_quant.h"

#include <cmath>
#include <limits>
#include <numbers>
#include <utility>

#include "elbo/math/init.h"
#include "elbo/ops/normal.h"
#include "elbo/quantizers/codebook.h"
#include "elbo/quantizers/gaussian_codebook.h"
#include "elbo/quantizers/tokens.h"

namespace elbo {
namespace {

constexpr double kMinGroupLogVar = -30, kMaxGroupLogVar = 20;
constexpr double kToleranceBits = 0.5;
constexpr double kMultiplierStep = 1.01;

struct Multiplier {
  Tensor value = {};
  double low = 0, high = 0;
  /// Up by a step where true, else down, within bounds.
  void move(const Tensor& up) { value.mul_(torch::where(up, kMultiplierStep, 1 / kMultiplierStep)).clamp_(low, high); }
};

class GaussianQuant final : public Quantizer {
 public:
  GaussianQuant(const GaussianQuantConfig& config, const QuantizerContext& context)
      : size_(config.code_size),
        groups_(config.groups),
        beta_(config.beta),
        sample_(config.sample),
        target_bits_(std::log2(static_cast<double>(config.codes))),
        kl_weight_("kl_weight", config.kl_weight, context.device) {
    const auto group_size = config.code_size / config.groups;
    check_num_parameters(static_cast<double>(config.codes) * static_cast<double>(group_size), "quantizer 'gaussian_quant'");
    codes_ = register_buffer("codes", gaussian_codebook(config.codes, group_size, static_cast<uint64_t>(config.seed)));
    lambda_ = register_buffer("lambda", torch::ones({}));
    lambda_above_ = register_buffer("lambda_above", torch::ones({}));
    lambda_below_ = register_buffer("lambda_below", torch::ones({}));
  }

  Quantization forward(const Tensor& z, Step& step, const Tensor& mask) override {
    check_tokens(z, mask, 2 * size_, "gaussian_quant");
    const auto tokens = z.sizes().slice(0, z.dim() - 1);
    const auto posterior = posterior_of(fill_left_out(z, mask, 0));
    const auto kl = normal_kl_to_standard(posterior.mean, posterior.log_var, 1).reshape(joined(tokens, {groups_}));
    const auto bits = kl * std::numbers::log2e;
    if (step.training) {
      if (std::exchange(pending_step_, step.index) != step.index) pending_.clear();  // of a step that was given up
      pending_.push_back(counted_rows(bits.detach(), mask).flatten());
    }

    Quantization out;
    const auto shape = joined(tokens, {size_});
    if (step.training) {
      const auto noise = step.noise.normal({1, tokens[0]}, joined(tokens.slice(1), {size_})).to(posterior.mean.scalar_type());
      out.value = normal_rsample(posterior.mean, posterior.log_var, noise.reshape_as(posterior.mean)).reshape(shape);
    }
    if (!step.training || sample_ == GaussianQuantSample::straight_through) {
      out.indices = fill_left_out(index_of(posterior).reshape(joined(tokens, {groups_})), mask, -1);
      const auto code = decode(out.indices);
      out.target = posterior.mean.detach().reshape(shape);
      out.value = step.training ? code + (out.value - out.value.detach()) : code;  // in this order the value is the code's bits
    }
    out.value = fill_left_out(out.value, mask, 0);
    const auto weight = torch::where(bits.detach() > target_bits_ + kToleranceBits, lambda_above_,
                                     torch::where(bits.detach() < target_bits_ - kToleranceBits, lambda_below_, 1.0));
    const auto elements = static_cast<double>(kl[0].numel());
    out.terms = {{.name = "rate",
                  .value = lambda_ * sum_tokens((weight * bits).sum(-1), mask),
                  .weight = kl_weight_.tensor(),
                  .elements = elements},
                 {.name = "kl",
                  .value = sum_tokens(kl.detach().sum(-1), mask),
                  .weight = torch::zeros({}, lambda_.options()),
                  .elements = elements}};
    out.readings = {{"rate_bits", counted_rows(bits.detach(), mask).mean()}, {"multiplier", lambda_.clone()}};
    return out;
  }

  Tensor encode(const Tensor& z) override {
    check_tokens(z, {}, 2 * size_, "gaussian_quant");
    return index_of(posterior_of(z)).reshape(joined(z.sizes().slice(0, z.dim() - 1), {groups_}));
  }
  Tensor decode(const Tensor& indices) override {
    const auto leading = indices.sizes().slice(0, indices.dim() - 1);
    return look_up(codes_, indices.unsqueeze(-1)).reshape(joined(leading, {size_}));
  }
  CodeSpace code_space() const override {
    return {.input_size = 2 * size_,
            .output_size = size_,
            .sizes = std::vector<int64_t>(static_cast<size_t>(groups_), codes_.size(0))};
  }
  Tensor codebook(int64_t /*group*/) override { return codes_; }
  std::vector<Scheduled> scheduled() override { return {kl_weight_}; }

  void after_step(const Step& step) override {
    const torch::NoGradGuard no_grad;
    if (pending_.empty()) return;  // in every process alike
    const auto bits = torch::cat(std::exchange(pending_, {}));
    auto seen = torch::zeros({step.collective.size(), 4}, lambda_.options());  // each process's sum, count, largest, smallest
    if (bits.numel() > 0) {
      seen[step.collective.rank()].copy_(
          torch::stack({bits.sum(), torch::full_like(lambda_, bits.numel()), bits.max(), bits.min()}));
    }
    step.collective.all_reduce_sum(seen);
    const auto count = seen.select(1, 1);
    const double infinity = std::numeric_limits<double>::infinity();
    const auto mean = seen.select(1, 0).sum() / count.sum();
    const auto largest = seen.select(1, 2).masked_fill(count == 0, -infinity).max();
    const auto smallest = seen.select(1, 3).masked_fill(count == 0, infinity).min();
    Multiplier{lambda_, 1e-6, 1e6}.move(mean > target_bits_);  // a multiplier that fell to 0 could not come back
    Multiplier{lambda_above_, 1, 1e3}.move(largest > target_bits_ + kToleranceBits);
    Multiplier{lambda_below_, 1e-3, 1}.move(smallest >= target_bits_ - kToleranceBits);
  }

 private:
  struct GroupPosterior {  // a group a row: [N G, D / G]
    Tensor mean = {};
    Tensor log_var = {};
  };
  GroupPosterior posterior_of(const Tensor& z) {
    const auto rows = to_rows(z);
    const auto group_size = size_ / groups_;
    return {.mean = rows.narrow(1, 0, size_).reshape({-1, group_size}),
            .log_var = rows.narrow(1, size_, size_).clamp(kMinGroupLogVar, kMaxGroupLogVar).reshape({-1, group_size})};
  }
  Tensor index_of(const GroupPosterior& posterior) const {
    return gaussian_code(posterior.mean, posterior.log_var, codes_, beta_);
  }

  int64_t size_;
  int64_t groups_;
  double beta_;
  GaussianQuantSample sample_;
  double target_bits_;
  Scheduled kl_weight_;
  Tensor codes_;
  Tensor lambda_;
  Tensor lambda_above_;
  Tensor lambda_below_;
  std::vector<Tensor> pending_ = {};  // rates
  int64_t pending_step_ = -1;
};

}  // namespace

std::shared_ptr<Quantizer> make_gaussian_quant(const GaussianQuantConfig& config, const QuantizerContext& context) {
  return std::make_shared<GaussianQuant>(config, context);
}

}  // namespace elbo
