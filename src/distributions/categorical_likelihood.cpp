#include "elbo/distributions/categorical_likelihood.h"

#include "elbo/distributions/categorical.h"
#include "field_kinds.h"

namespace elbo {
namespace {

/// A categorical whose V classes are the values 0, 1/(V-1), …, 1.
class GreyLevels final : public Distribution {
 public:
  explicit GreyLevels(std::shared_ptr<const Categorical> classes)
      : Distribution(classes->batch_shape(), classes->event_shape()), classes_(std::move(classes)) {}

  Tensor mean() const override { return classes_->mean() / top(); }
  Tensor variance() const override { return classes_->variance() / (top() * top()); }
  Tensor mode() const override { return grey(classes_->mode()); }
  DistributionPtr detached() const override {
    return std::make_shared<GreyLevels>(std::static_pointer_cast<const Categorical>(classes_->detached()));
  }
  std::string_view name() const override { return "grey_levels"; }

 private:
  double top() const { return static_cast<double>(classes_->num_classes() - 1); }
  Tensor grey(const Tensor& index) const { return index.to(classes_->logits().scalar_type()) / top(); }
  Tensor index(const Tensor& value) const { return (value * top()).round(); }
  Tensor do_log_prob(const Tensor& value) const override { return classes_->log_prob(index(value)); }
  Tensor do_log_prob_per_element(const Tensor& value) const override { return classes_->log_prob_per_element(index(value)); }
  Tensor do_sample(at::IntArrayRef leading, Noise& noise) const override { return grey(classes_->sample(leading, noise)); }
  Tensor do_entropy() const override { return classes_->entropy(); }

  std::shared_ptr<const Categorical> classes_;
};

class CategoricalLikelihood final : public Likelihood {
 public:
  CategoricalLikelihood(Shape shape, int64_t num_classes, ValueKind kind)
      : shape_(std::move(shape)), num_classes_(num_classes), kind_(kind) {}

  Shape parameter_shape() const override {
    if (shape_.size() == 3) return {num_classes_ * shape_[0], shape_[1], shape_[2]};  // what a decoder of images makes
    return joined({num_classes_}, shape_);
  }
  DistributionPtr forward(const Tensor& parameters) override {
    const auto event_dims = static_cast<int64_t>(shape_.size());
    const auto own = static_cast<int64_t>(parameter_shape().size());
    const auto leading = parameters.sizes().slice(0, parameters.dim() - own);
    const auto logits = parameters.reshape(joined(leading, joined({num_classes_}, shape_)));
    auto classes = std::make_shared<const Categorical>(logits, event_dims, -1 - event_dims);
    if (kind_ == ValueKind::category) return classes;
    return std::make_shared<GreyLevels>(std::move(classes));
  }
  Tensor bias_for_mean(const Tensor&) const override { return {}; }  // the mean of a class index fixes no logits

 private:
  Shape shape_;
  int64_t num_classes_;
  ValueKind kind_;
};

}  // namespace

std::shared_ptr<Likelihood> make_categorical_likelihood(const NoConfig&, const LikelihoodContext& context) {
  const auto& field = context.field;
  const bool grey = field.kind == ValueKind::unit && field.levels > 1;
  if (!grey && (field.kind != ValueKind::category || field.num_classes < 1)) {
    detail::throw_wrong_kind("categorical", "class indices whose number is known, or grey levels", field);
  }
  return std::make_shared<CategoricalLikelihood>(field.shape, grey ? field.levels : field.num_classes, field.kind);
}

}  // namespace elbo
