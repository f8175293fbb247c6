#include "elbo/distributions/count_likelihoods.h"

#include "elbo/distributions/negative_binomial.h"
#include "elbo/distributions/normal_posterior.h"
#include "elbo/distributions/poisson.h"
#include "elbo/distributions/scale_source.h"
#include "field_kinds.h"

namespace elbo {
namespace {

void refuse_unless_counts(std::string_view likelihood, const FieldSpec& field) {
  if (field.kind != ValueKind::real) detail::throw_wrong_kind(likelihood, "counts (a field of kind real)", field);
}

class PoissonLikelihood final : public Likelihood {
 public:
  explicit PoissonLikelihood(Shape shape) : shape_(std::move(shape)) {}
  Shape parameter_shape() const override { return shape_; }
  DistributionPtr forward(const Tensor& parameters) override {
    return std::make_shared<Poisson>(parameters, static_cast<int64_t>(shape_.size()));
  }
  Tensor bias_for_mean(const Tensor& mean) const override { return detail::safe_log(mean); }

 private:
  Shape shape_;
};

class NegativeBinomialLikelihood final : public Likelihood {
 public:
  NegativeBinomialLikelihood(const NegativeBinomialLikelihoodConfig& config, Shape shape) : shape_(std::move(shape)) {
    if (config.dispersion == CountDispersion::element) log_count_ = register_parameter("log_total_count", torch::zeros(shape_));
  }

  Shape parameter_shape() const override { return log_count_.defined() ? shape_ : detail::first_times(shape_, 2); }
  DistributionPtr forward(const Tensor& parameters) override {
    if (log_count_.defined()) return with(parameters, log_count_.expand_as(parameters));
    const auto [log_mean, log_count] = detail::halves_of(parameters, shape_);
    return with(log_mean, log_count);
  }
  Tensor bias_for_mean(const Tensor& mean) const override {
    const auto bias = detail::safe_log(mean);
    if (log_count_.defined()) return bias;
    const auto first = bias.dim() == 0 ? bias.unsqueeze(0) : bias;
    return torch::cat({first, torch::zeros_like(first)}, 0);
  }

 private:
  DistributionPtr with(const Tensor& log_mean, const Tensor& log_count) const {
    return NegativeBinomial::with_mean(log_mean, detail::bounded_log_count(log_count), static_cast<int64_t>(shape_.size()));
  }

  Shape shape_;
  Tensor log_count_ = {};
};

}  // namespace

Tensor detail::bounded_log_count(const Tensor& x) { return clamp(x, Clamp::soft, -10, 10); }
Tensor detail::safe_log(const Tensor& mean) { return mean.clamp_min(1e-3).log(); }

std::shared_ptr<Likelihood> make_poisson_likelihood(const NoConfig&, const LikelihoodContext& context) {
  refuse_unless_counts("poisson", context.field);
  return std::make_shared<PoissonLikelihood>(context.field.shape);
}

std::shared_ptr<Likelihood> make_negative_binomial_likelihood(const NegativeBinomialLikelihoodConfig& config,
                                                              const LikelihoodContext& context) {
  refuse_unless_counts("negative_binomial", context.field);
  return std::make_shared<NegativeBinomialLikelihood>(config, context.field.shape);
}

}  // namespace elbo
