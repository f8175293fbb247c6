#include "elbo/distributions/discretized_logistic_likelihood.h"

#include "elbo/base/error.h"
#include "elbo/base/text.h"
#include "elbo/distributions/discretized_logistic.h"
#include "field_kinds.h"

namespace elbo {
namespace {

class DiscretizedLogisticLikelihood final : public Likelihood {
 public:
  DiscretizedLogisticLikelihood(const DiscretizedLogisticLikelihoodConfig& config, const Shape& shape)
      : shape_(shape),
        components_(config.components),
        source_(*this, config.variance, config.scale, MeanActivation::sigmoid,
                components_ == 1 ? shape : detail::first_times(shape, components_)) {}

  /// A mixture's logits, then its means, then its scales where the decoder gives them.
  Shape parameter_shape() const override {
    if (components_ == 1) return source_.parameter_shape();
    auto shape = source_.parameter_shape();
    shape[0] += detail::first_times(shape_, components_)[0];
    return shape;
  }

  DistributionPtr forward(const Tensor& parameters) override {
    if (components_ == 1) {
      auto [mean, log_scale] = source_.split(parameters);
      return std::make_shared<DiscretizedLogistic>(std::move(mean), std::move(log_scale), source_.event_dims());
    }
    const auto first = -static_cast<int64_t>(parameter_shape().size());
    const auto num_logits = detail::first_times(shape_, components_)[0];
    const auto [means, log_scales] = source_.split(parameters.narrow(first, num_logits, parameters.size(first) - num_logits));
    const auto logits = by_component(parameters.narrow(first, 0, num_logits));
    return std::make_shared<DiscretizedLogisticMixture>(logits, by_component(means), by_component(log_scales.expand_as(means)),
                                                        static_cast<int64_t>(shape_.size()));
  }
  Tensor bias_for_mean(const Tensor&) const override { return {}; }  // grey levels at the edges have no inverse

 private:
  /// [batch..., S C, H, W] -> [batch..., C, H, W, S].
  Tensor by_component(const Tensor& t) const {
    const auto own = std::max<int64_t>(1, static_cast<int64_t>(shape_.size()));
    const auto leading = t.sizes().slice(0, t.dim() - own);
    const auto first = static_cast<int64_t>(leading.size());
    return t.reshape(joined(leading, joined({components_}, shape_))).movedim(first, -1);
  }

  Shape shape_;
  int64_t components_;
  detail::ScaleSource source_;
};

}  // namespace

std::shared_ptr<Likelihood> make_discretized_logistic_likelihood(const DiscretizedLogisticLikelihoodConfig& config,
                                                                 const LikelihoodContext& context) {
  const auto& field = context.field;
  if (field.kind == ValueKind::unit && field.levels > 1 && field.levels != DiscretizedLogistic::kLevels) {
    throw ConfigError(text("likelihood 'discretized_logistic': is for 256 grey levels, these data have ", field.levels,
                           "; use likelihood 'categorical'"));
  }
  if (field.kind != ValueKind::unit || field.levels != DiscretizedLogistic::kLevels) {
    detail::throw_wrong_kind("discretized_logistic", "256 grey levels", field);
  }
  return std::make_shared<DiscretizedLogisticLikelihood>(config, field.shape);
}

}  // namespace elbo
