#pragma once
#include "elbo/distributions/distribution.h"

namespace elbo {

/// Independent counts 0, 1, 2, … of successes before `total_count` failures, a success having probability sigmoid(logit): a
/// Poisson variable whose rate is Gamma(total_count, exp(logit)), so wider than Poisson. total_count > 0 need not be whole.
class NegativeBinomial final : public Distribution {
 public:
  /// Shapes: logits [batch..., event...] with `event_dims` event extents; total_count the same, or 0-dim for one of all elements.
  NegativeBinomial(Tensor total_count, Tensor logits, int64_t event_dims = 1);
  /// By its mean and its inverse dispersion: variance = mean + mean^2 / total_count. Shapes: as above.
  static std::shared_ptr<NegativeBinomial> with_mean(const Tensor& log_mean, const Tensor& log_total_count,
                                                     int64_t event_dims = 1);

  Tensor mean() const override;
  Tensor variance() const override;
  Tensor mode() const override;
  DistributionPtr detached() const override;
  std::string_view name() const override { return "negative_binomial"; }

  const Tensor& total_count() const { return total_count_; }
  const Tensor& logits() const { return logits_; }

 private:
  Tensor do_log_prob(const Tensor& value) const override;
  Tensor do_sample(at::IntArrayRef leading, Noise& noise) const override;
  Tensor do_log_prob_per_element(const Tensor& value) const override;

  Tensor total_count_;
  Tensor logits_;
};

}  // namespace elbo
