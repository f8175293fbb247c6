#include "elbo/distributions/laplace_likelihood.h"

#include "elbo/distributions/laplace.h"
#include "field_kinds.h"

namespace elbo {
namespace {

class LaplaceLikelihood final : public Likelihood {
 public:
  LaplaceLikelihood(const LaplaceLikelihoodConfig& config, Shape shape)
      : source_(*this, config.variance, config.scale, config.mean, std::move(shape)) {}

  Shape parameter_shape() const override { return source_.parameter_shape(); }
  DistributionPtr forward(const Tensor& parameters) override {
    auto [mean, log_scale] = source_.split(parameters);
    return std::make_shared<Laplace>(std::move(mean), std::move(log_scale), source_.event_dims());
  }
  Tensor bias_for_mean(const Tensor& mean) const override { return source_.bias_for_location(mean); }

 private:
  detail::ScaleSource source_;
};

}  // namespace

std::shared_ptr<Likelihood> make_laplace_likelihood(const LaplaceLikelihoodConfig& config, const LikelihoodContext& context) {
  detail::refuse_unless_numbers("laplace", context.field);
  return std::make_shared<LaplaceLikelihood>(config, context.field.shape);
}

}  // namespace elbo
