#include "elbo/quantizers/soft_ema.h"

#include <algorithm>
#include <cmath>

#include "elbo/math/couples_batch.h"
#include "elbo/math/precision.h"
#include "elbo/quantizers/tokens.h"

namespace elbo {
namespace {

/// [codes, size] with orthonormal columns or rows; the signs are those of the drawn matrix's factor.
Tensor orthogonal_codes(int64_t codes, int64_t size, Stream& stream) {
  const auto tall = stream.normal({std::max(codes, size)}, {std::min(codes, size)});
  const auto [q, r] = torch::linalg_qr(tall, "reduced");
  const auto signed_q = q * r.diagonal().sign();
  return (codes >= size ? signed_q : signed_q.t()).contiguous();
}

/// What the tokens of a step add to the averages; those of a step that was given up are forgotten when the next one begins.
struct PendingShares {
  int64_t step = -1;
  Tensor counts = {}, sums = {};
};

class SoftEma final : public Quantizer, public CouplesBatch {
 public:
  SoftEma(const SoftEmaConfig& config, const QuantizerContext& context)
      : config_(config),
        temperature_("temperature", config.temperature, context.device),
        commitment_("commitment", config.commitment, context.device),
        diversity_("diversity", config.diversity, context.device) {
    check_codebook(config.codes, config.code_size, "soft_ema");
    codes_ = register_buffer("codes", config.init == SoftEmaInit::orthogonal
                                          ? orthogonal_codes(config.codes, config.code_size, context.init)
                                          : context.init.normal({config.codes}, {config.code_size}));
    counts_ = register_buffer("counts", torch::ones({config.codes}));
    sums_ = register_buffer("sums", codes_.clone());
  }

  Quantization forward(const Tensor& z, Step& step, const Tensor& mask) override {
    check_tokens(z, mask, config_.code_size, "soft_ema");
    const auto indices = nearest_indices(CodeMetric::euclidean, z, codes_, mask);
    if (!step.training) {
      return quantized_by(z, codes_, indices, mask, {.commitment = commitment_.tensor()});
    }
    const FullPrecisionScope precise(z.device());
    const auto counted = fill_left_out(full_rows(z), mask, 0);
    const auto rows = to_rows(counted);
    const auto choice = (-squared_distances(rows) / temperature_.tensor()).softmax(1);  // [N, V]
    const auto present = mask.defined() ? mask.reshape({-1, 1}).to(choice.scalar_type()) : Tensor();
    keep((present.defined() ? choice * present : choice).detach(), rows.detach(), step);
    const auto value = torch::mm(choice, codes_.to(choice.scalar_type())).view(counted.sizes()).detach();
    Quantization result{.value = fill_left_out(pass_gradient(counted, value, GradientEstimator::straight_through), mask, 0),
                        .indices = indices,
                        .readings = {{"temperature", temperature_.tensor()}}};
    const auto elements = elements_of(z);
    result.terms.push_back({.name = "commitment",
                            .value = squared_error(counted, value, mask),
                            .weight = commitment_.tensor(),
                            .elements = elements});
    result.terms.push_back(
        {.name = "diversity", .value = unevenness(choice, present), .weight = diversity_.tensor(), .elements = 1});
    return result;
  }

  Tensor encode(const Tensor& z) override {
    check_tokens(z, {}, config_.code_size, "soft_ema");
    return nearest_indices(CodeMetric::euclidean, z, codes_);
  }
  Tensor decode(const Tensor& indices) override { return look_up(codes_, indices); }
  CodeSpace code_space() const override { return {config_.code_size, config_.code_size, {config_.codes}}; }
  Tensor codebook(int64_t) override { return codes_; }
  std::vector<Scheduled> scheduled() override { return {temperature_, commitment_, diversity_}; }
  std::string_view couples_batch_by() const override { return "the entropy of the batch's codes"; }

  void after_step(const Step& step) override {
    if (!pending_.counts.defined()) return;
    const torch::NoGradGuard no_grad;
    auto count = pending_.counts, sum = pending_.sums;
    pending_ = {};
    step.collective.all_reduce_sum(count);
    step.collective.all_reduce_sum(sum);
    counts_.mul_(config_.decay).add_(count, 1 - config_.decay);
    sums_.mul_(config_.decay).add_(sum, 1 - config_.decay);
    const auto total = counts_.sum();
    const auto smoothed = total * (counts_ + config_.epsilon) / (total + config_.epsilon * static_cast<double>(config_.codes));
    codes_.copy_(torch::where(counts_.unsqueeze(1) > 0, sums_ / smoothed.unsqueeze(1), codes_));
  }

 private:
  static Tensor full_rows(const Tensor& z) { return z.scalar_type() == torch::kDouble ? z : z.to(torch::kFloat); }

  /// |z - e|^2 up to what is the same for all codes of a token. Shapes: [N, D] -> [N, V].
  Tensor squared_distances(const Tensor& rows) const {
    const auto codes = codes_.to(rows.scalar_type());
    return torch::addmm(codes.square().sum(1), rows, codes.t(), 1, -2);
  }

  /// log V - H(mean choice), 0-dim.
  static Tensor unevenness(const Tensor& choice, const Tensor& present) {
    const auto mean = present.defined() ? (choice * present).sum(0) / present.sum().clamp_min(1) : choice.mean(0);
    return std::log(static_cast<double>(choice.size(1))) + (mean * mean.clamp_min(1e-20).log()).sum();
  }

  void keep(const Tensor& choice, const Tensor& rows, const Step& step) {
    const torch::NoGradGuard no_grad;
    const auto counts = choice.sum(0).to(torch::kFloat), sums = torch::mm(choice.t(), rows).to(torch::kFloat);
    if (pending_.step != step.index || !pending_.counts.defined()) {
      pending_ = {step.index, counts, sums};
    } else {
      pending_.counts = pending_.counts + counts;
      pending_.sums = pending_.sums + sums;
    }
  }

  SoftEmaConfig config_;
  Scheduled temperature_, commitment_, diversity_;
  Tensor codes_, counts_, sums_;
  PendingShares pending_;
};

}  // namespace

std::shared_ptr<Quantizer> make_soft_ema(const SoftEmaConfig& config, const QuantizerContext& context) {
  return std::make_shared<SoftEma>(config, context);
}

}  // namespace elbo
