#include "elbo/distributions/logit_laplace_likelihood.h"

#include <cmath>

#include "elbo/distributions/logit_laplace.h"
#include "field_kinds.h"

namespace elbo {
namespace {

class LogitLaplaceLikelihood final : public Likelihood {
 public:
  LogitLaplaceLikelihood(const LogitLaplaceLikelihoodConfig& config, Shape shape)
      : source_(*this, config.variance, config.scale, MeanActivation::identity, std::move(shape)),
        log_start_(std::log(config.scale)),
        is_fixed_(config.variance == DecoderVariance::fixed) {}

  Shape parameter_shape() const override { return source_.parameter_shape(); }
  DistributionPtr forward(const Tensor& parameters) override {
    auto [location, log_scale] = source_.split(parameters);
    return std::make_shared<LogitLaplace>(std::move(location), std::move(log_scale), source_.event_dims());
  }
  /// By bisection, for the mean has no closed form: it rises with the location.
  Tensor bias_for_mean(const Tensor& mean) const override {
    constexpr double kReach = 16;  // sigmoid(16) is 1 in float32
    constexpr int kHalvings = 40;
    const auto target = mean.clamp(0, 1).to(at::kDouble);
    const auto written = torch::full_like(target, log_start_);
    const auto log_scale = is_fixed_ ? written : detail::bounded_log_scale(written);
    auto low = torch::full_like(target, -kReach), high = -low;
    for (int i = 0; i < kHalvings; ++i) {
      const auto middle = (low + high) / 2;
      const auto below = LogitLaplace(middle, log_scale, source_.event_dims()).mean() < target;
      low = torch::where(below, middle, low);
      high = torch::where(below, high, middle);
    }
    return source_.bias_for_location(low.to(mean.scalar_type()));
  }

 private:
  detail::ScaleSource source_;
  double log_start_;
  bool is_fixed_;
};

}  // namespace

std::shared_ptr<Likelihood> make_logit_laplace_likelihood(const LogitLaplaceLikelihoodConfig& config,
                                                          const LikelihoodContext& context) {
  if (context.field.kind != ValueKind::unit) {
    detail::throw_wrong_kind("logit_laplace", "real numbers in [0, 1]", context.field);
  }
  return std::make_shared<LogitLaplaceLikelihood>(config, context.field.shape);
}

}  // namespace elbo
