#include "elbo/distributions/categorical_likelihood.h"

#include "elbo/base/error.h"
#include "elbo/distributions/categorical.h"

namespace elbo {
namespace {

class CategoricalLikelihood final : public Likelihood {
 public:
  CategoricalLikelihood(Shape shape, int64_t num_classes) : shape_(std::move(shape)), num_classes_(num_classes) {}

  Shape parameter_shape() const override {
    if (shape_.size() == 3) return {num_classes_ * shape_[0], shape_[1], shape_[2]};  // what a decoder of images makes
    return joined({num_classes_}, shape_);
  }
  DistributionPtr forward(const Tensor& parameters) override {
    const auto event_dims = static_cast<int64_t>(shape_.size());
    const auto own = static_cast<int64_t>(parameter_shape().size());
    const auto leading = parameters.sizes().slice(0, parameters.dim() - own);
    const auto logits = parameters.reshape(joined(leading, joined({num_classes_}, shape_)));
    return std::make_shared<Categorical>(logits, event_dims, -1 - event_dims);
  }
  Tensor bias_for_mean(const Tensor&) const override { return {}; }  // the mean of a class index fixes no logits

 private:
  Shape shape_;
  int64_t num_classes_;
};

}  // namespace

std::shared_ptr<Likelihood> make_categorical_likelihood(const NoConfig&, const LikelihoodContext& context) {
  if (context.field.kind != ValueKind::category || context.field.num_classes < 1) {
    throw ConfigError(
        "likelihood 'categorical': needs a field of class indices whose number of classes is known; use 'bernoulli' for "
        "zeros and ones, 'normal' for real numbers");
  }
  return std::make_shared<CategoricalLikelihood>(context.field.shape, context.field.num_classes);
}

}  // namespace elbo
