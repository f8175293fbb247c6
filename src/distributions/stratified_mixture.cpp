#include "elbo/distributions/stratified_mixture.h"

#include <cmath>

#include "elbo/base/error.h"
#include "elbo/distributions/categorical.h"

namespace elbo {
namespace {

/// Gives a distribution of batch [S, B] its numbers in the order [..., S, B] that it asks for, while the source underneath is
/// asked with the strata first and samples beside rows: sources that key numbers by place count samples there.
class StrataNoise final : public Noise {
 public:
  StrataNoise(Noise& noise, int64_t num_components) : noise_(noise), S_(num_components) {}
  Tensor normal(at::IntArrayRef leading, at::IntArrayRef event) override {
    return noise_.normal(strata_first(leading), event).movedim(0, static_cast<int64_t>(leading.size()) - 2);
  }
  Tensor uniform(at::IntArrayRef leading, at::IntArrayRef event) override {
    return noise_.uniform(strata_first(leading), event).movedim(0, static_cast<int64_t>(leading.size()) - 2);
  }

 private:
  /// [..., S, B] -> [S, ..., B].
  Shape strata_first(at::IntArrayRef leading) const {
    return joined({S_}, joined(leading.slice(0, leading.size() - 2), leading.slice(leading.size() - 1)));
  }

  Noise& noise_;
  int64_t S_;
};

Shape rows_of(const Distribution& components) {
  if (components.batch_shape().size() != 2 || components.event_shape().size() != 1) {
    throw ShapeError("stratified mixture: components of batch " + shape_text(components.batch_shape()) + " and event " +
                     shape_text(components.event_shape()) + ", expected [S, B] and [D]");
  }
  return {components.batch_shape()[1]};
}

/// [..., B] -> [..., S, B].
Shape every_component(at::IntArrayRef leading, const Distribution& components) {
  return joined(leading.slice(0, leading.size() - 1), components.batch_shape());
}

/// Of draws [..., S, B, D] the component at each row's place [..., B].
Tensor at_places(const Tensor& draws, const Tensor& places) {
  auto shape = draws.sizes().vec();
  shape[shape.size() - 3] = 1;
  return draws.gather(-3, places.unsqueeze(-1).unsqueeze(-3).expand(shape)).squeeze(-3);
}

}  // namespace

StratifiedMixture::StratifiedMixture(DistributionPtr components, const Tensor& log_weight)
    : Distribution(rows_of(*components), components->event_shape()),
      components_(std::move(components)),
      log_weight_(log_weight.log_softmax(0)) {
  check_shape(log_weight_, components_->batch_shape(), "stratified mixture: log_weight against the components' batch [S, B]");
}

Tensor StratifiedMixture::rsample_stratified(int64_t K, Noise& noise) const {
  StrataNoise strata(noise, num_components());
  return components_->rsample(joined({K}, components_->batch_shape()), strata).transpose(0, 1);
}

Tensor StratifiedMixture::average(const Tensor& of_components) const {
  auto log_weight = log_weight_;
  while (log_weight.dim() < of_components.dim()) log_weight = log_weight.unsqueeze(-1);
  return torch::where(log_weight == -INFINITY, torch::zeros({}, of_components.options()), log_weight.exp() * of_components)
      .sum(0);
}

Tensor StratifiedMixture::mean() const { return average(components_->mean()); }

Tensor StratifiedMixture::variance() const { return average(components_->variance() + (components_->mean() - mean()).square()); }

Tensor StratifiedMixture::mode() const {
  const auto modes = components_->mode();
  const auto best = log_weight_.argmax(0, /*keepdim=*/true).unsqueeze(-1);
  return modes.gather(0, best.expand({1, modes.size(1), modes.size(2)})).squeeze(0);
}

DistributionPtr StratifiedMixture::detached() const {
  return std::make_shared<StratifiedMixture>(components_->detached(), log_weight_.detach());
}

Tensor StratifiedMixture::do_log_prob(const Tensor& value) const {
  const auto each = components_->log_prob(value.unsqueeze(-3));  // [..., S, B]
  return torch::logsumexp(torch::where(log_weight_ == -INFINITY, -INFINITY, log_weight_ + each), -2);
}

Tensor StratifiedMixture::draw_places(at::IntArrayRef leading, Noise& noise) const {
  return detail::pick_class(log_weight_.detach().exp().t(), noise.uniform(leading, {}));
}

Tensor StratifiedMixture::do_sample(at::IntArrayRef leading, Noise& noise) const {
  const auto places = draw_places(leading, noise);
  StrataNoise strata(noise, num_components());
  return at_places(components_->sample(every_component(leading, *components_), strata), places);
}

Tensor StratifiedMixture::do_rsample(at::IntArrayRef leading, Noise& noise) const {
  const auto places = draw_places(leading, noise);
  StrataNoise strata(noise, num_components());
  return at_places(components_->rsample(every_component(leading, *components_), strata), places);
}

AncestralMixture::AncestralMixture(StratifiedMixturePtr mixture)
    : Distribution(mixture->batch_shape(), mixture->event_shape()), mixture_(std::move(mixture)) {}

DistributionPtr AncestralMixture::detached() const {
  return std::make_shared<AncestralMixture>(std::static_pointer_cast<const StratifiedMixture>(mixture_->detached()));
}

const StratifiedMixture* mixture_of(const Distribution& q) {
  if (const auto* strata = dynamic_cast<const StratifiedMixture*>(&q)) return strata;
  const auto* ancestral = dynamic_cast<const AncestralMixture*>(&q);
  return ancestral ? ancestral->mixture().get() : nullptr;
}

}  // namespace elbo
