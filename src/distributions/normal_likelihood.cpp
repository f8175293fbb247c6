#include "elbo/distributions/normal_likelihood.h"

#include "elbo/base/error.h"
#include "elbo/distributions/bernoulli_likelihood.h"
#include "elbo/distributions/normal.h"

namespace elbo {
namespace {

class NormalLikelihood final : public Likelihood {
 public:
  NormalLikelihood(const NormalLikelihoodConfig& config, Shape shape) : config_(config), shape_(std::move(shape)) {}
  Shape parameter_shape() const override { return shape_; }
  DistributionPtr forward(const Tensor& parameters) override {
    auto mean = config_.mean == MeanActivation::sigmoid ? parameters.sigmoid() : parameters;
    return Normal::with_scale(std::move(mean), config_.scale, static_cast<int64_t>(shape_.size()));
  }
  Tensor bias_for_mean(const Tensor& mean) const override {
    return config_.mean == MeanActivation::sigmoid ? detail::safe_logit(mean) : mean;
  }

 private:
  NormalLikelihoodConfig config_;
  Shape shape_;
};

}  // namespace

std::shared_ptr<Likelihood> make_normal_likelihood(const NormalLikelihoodConfig& config, const LikelihoodContext& context) {
  if (context.field.kind == ValueKind::category) {
    throw ConfigError("likelihood 'normal': the data are class indices, which have no density; use likelihood 'categorical'");
  }
  return std::make_shared<NormalLikelihood>(config, context.field.shape);
}

}  // namespace elbo
