#include "elbo/distributions/bernoulli_likelihood.h"

#include "elbo/base/error.h"
#include "elbo/distributions/bernoulli.h"
#include "field_kinds.h"

namespace elbo {
namespace {

class BernoulliLikelihood final : public Likelihood {
 public:
  explicit BernoulliLikelihood(Shape shape) : shape_(std::move(shape)) {}
  Shape parameter_shape() const override { return shape_; }
  DistributionPtr forward(const Tensor& parameters) override {
    return std::make_shared<Bernoulli>(parameters, static_cast<int64_t>(shape_.size()));
  }
  Tensor bias_for_mean(const Tensor& mean) const override { return detail::safe_logit(mean); }

 private:
  Shape shape_;
};

}  // namespace

Tensor detail::safe_logit(const Tensor& p) { return p.clamp(1e-3, 1 - 1e-3).logit(); }

std::shared_ptr<Likelihood> make_bernoulli_likelihood(const BernoulliLikelihoodConfig& config, const LikelihoodContext& context) {
  const auto kind = context.field.kind;
  if (kind == ValueKind::unit && !config.allow_unit) {
    throw ConfigError(
        "likelihood 'bernoulli': the data are real numbers in [0, 1], on which a Bernoulli isn't normalised; binarise them "
        "(data.binarize), use likelihood 'normal', or set allow_unit: true to train on cross-entropy that is no likelihood");
  }
  if (kind != ValueKind::binary && kind != ValueKind::unit) {
    detail::throw_wrong_kind("bernoulli", "a field of zeros and ones", context.field);
  }
  return std::make_shared<BernoulliLikelihood>(context.field.shape);
}

}  // namespace elbo
