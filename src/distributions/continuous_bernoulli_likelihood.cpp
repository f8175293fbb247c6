#include "elbo/distributions/continuous_bernoulli_likelihood.h"

#include "elbo/distributions/continuous_bernoulli.h"
#include "field_kinds.h"

namespace elbo {
namespace {

class ContinuousBernoulliLikelihood final : public Likelihood {
 public:
  explicit ContinuousBernoulliLikelihood(Shape shape) : shape_(std::move(shape)) {}

  Shape parameter_shape() const override { return shape_; }
  DistributionPtr forward(const Tensor& parameters) override {
    return std::make_shared<ContinuousBernoulli>(parameters, static_cast<int64_t>(shape_.size()));
  }
  /// By bisection: the mean has no inverse in closed form.
  Tensor bias_for_mean(const Tensor& mean) const override {
    const auto wanted = mean.detach().to(torch::kDouble).clamp(1e-3, 1 - 1e-3);
    auto low = torch::full_like(wanted, -2e3), high = torch::full_like(wanted, 2e3);
    for (int halving = 0; halving < 60; ++halving) {
      const auto middle = 0.5 * (low + high);
      const auto above = ContinuousBernoulli(middle, middle.dim()).mean() > wanted;
      high = torch::where(above, middle, high);
      low = torch::where(above, low, middle);
    }
    return (0.5 * (low + high)).to(mean.scalar_type());
  }

 private:
  Shape shape_;
};

}  // namespace

std::shared_ptr<Likelihood> make_continuous_bernoulli_likelihood(const NoConfig&, const LikelihoodContext& context) {
  if (context.field.kind != ValueKind::unit) {
    detail::throw_wrong_kind("continuous_bernoulli", "real numbers in [0, 1]", context.field);
  }
  return std::make_shared<ContinuousBernoulliLikelihood>(context.field.shape);
}

}  // namespace elbo
