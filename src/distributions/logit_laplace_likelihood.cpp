#include "elbo/distributions/logit_laplace_likelihood.h"

#include "elbo/distributions/logit_laplace.h"
#include "field_kinds.h"

namespace elbo {
namespace {

class LogitLaplaceLikelihood final : public Likelihood {
 public:
  LogitLaplaceLikelihood(const LogitLaplaceLikelihoodConfig& config, Shape shape)
      : source_(*this, config.variance, config.scale, MeanActivation::identity, std::move(shape)) {}

  Shape parameter_shape() const override { return source_.parameter_shape(); }
  DistributionPtr forward(const Tensor& parameters) override {
    auto [location, log_scale] = source_.split(parameters);
    return std::make_shared<LogitLaplace>(std::move(location), std::move(log_scale), source_.event_dims());
  }
  /// The logit's median where x is its mean: near enough for a start.
  Tensor bias_for_mean(const Tensor& mean) const override {
    return source_.bias_for_location(torch::logit(LogitLaplace::kMargin + (1 - 2 * LogitLaplace::kMargin) * mean.clamp(0, 1)));
  }

 private:
  detail::ScaleSource source_;
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
