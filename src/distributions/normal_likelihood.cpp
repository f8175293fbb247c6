#include "elbo/distributions/normal_likelihood.h"

#include <cmath>

#include "elbo/distributions/normal.h"
#include "elbo/math/couples_batch.h"
#include "elbo/math/step.h"
#include "field_kinds.h"

namespace elbo {
namespace {

constexpr double kDecay = 0.99;

class NormalLikelihood final : public Likelihood, public Stepped, public CouplesBatch {
 public:
  NormalLikelihood(const NormalLikelihoodConfig& config, Shape shape)
      : optimal_(config.variance == DecoderVariance::optimal),
        source_(*this, config.variance, config.scale, config.mean, std::move(shape)) {
    if (!optimal_) return;
    s2_ = register_buffer("s2", torch::full({}, config.scale * config.scale));
    num_batches_ = register_buffer("num_batches", torch::zeros({}, torch::kLong));
  }

  Shape parameter_shape() const override { return source_.parameter_shape(); }

  DistributionPtr forward(const Tensor& parameters) override {
    auto [mean, log_scale] = source_.split(parameters);
    auto log_var = optimal_ ? s2_.log() : 2 * log_scale;
    return std::make_shared<Normal>(std::move(mean), std::move(log_var), source_.event_dims());
  }

  DistributionPtr surrogate(const Tensor& parameters, const Tensor& target) override {
    if (!optimal_) return nullptr;
    auto mean = source_.split(parameters).location;
    batch_s2_ = (target - mean.detach()).square().mean().clamp_min(std::exp(2 * detail::kMinLogScale));
    return std::make_shared<Normal>(std::move(mean), batch_s2_.log(), source_.event_dims());
  }

  void after_step(const Step&) override {
    if (!batch_s2_.defined()) return;
    num_batches_.add_(1);
    // The mean of the optima so far, weighed 0.99^age: what is left of the start is divided out.
    const auto weight = (1 - kDecay) / (1 - torch::pow(kDecay, num_batches_.to(torch::kDouble)));
    s2_.add_((batch_s2_ - s2_) * weight.to(s2_.scalar_type()));
    batch_s2_.reset();
  }

  std::string_view couples_batch_by() const override { return optimal_ ? "the optimal variance" : ""; }

  Tensor bias_for_mean(const Tensor& mean) const override { return source_.bias_for_location(mean); }

 private:
  bool optimal_;
  detail::ScaleSource source_;
  Tensor s2_ = {}, num_batches_ = {};
  Tensor batch_s2_ = {};  // of the last training batch, until after_step takes it in
};

}  // namespace

std::shared_ptr<Likelihood> make_normal_likelihood(const NormalLikelihoodConfig& config, const LikelihoodContext& context) {
  detail::refuse_unless_numbers("normal", context.field);
  return std::make_shared<NormalLikelihood>(config, context.field.shape);
}

}  // namespace elbo
