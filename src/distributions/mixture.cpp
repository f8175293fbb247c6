#include "elbo/distributions/mixture.h"

#include "elbo/base/error.h"
#include "elbo/distributions/categorical.h"

namespace elbo {
namespace {

/// Draws for all S components at once, with S as part of what is drawn each time: the leading extents keep their places.
class ComponentNoise final : public Noise {
 public:
  explicit ComponentNoise(Noise& noise) : noise_(noise) {}
  Tensor normal(at::IntArrayRef leading, at::IntArrayRef event) override {
    return noise_.normal(leading.slice(0, leading.size() - 1), joined(leading.slice(leading.size() - 1), event));
  }
  Tensor uniform(at::IntArrayRef leading, at::IntArrayRef event) override {
    return noise_.uniform(leading.slice(0, leading.size() - 1), joined(leading.slice(leading.size() - 1), event));
  }

 private:
  Noise& noise_;
};

Shape batch_of(const Tensor& logits, const std::optional<Shape>& declared) {
  if (declared) return *declared;
  return logits.dim() == 0 ? Shape{} : logits.sizes().slice(0, logits.dim() - 1).vec();
}

}  // namespace

MixtureSameFamily::MixtureSameFamily(Tensor logits, DistributionPtr components, std::optional<Shape> batch_shape)
    : Distribution(batch_of(logits, batch_shape), components->event_shape()),
      logits_(std::move(logits)),
      components_(std::move(components)) {
  check_shape(logits_, components_->batch_shape(), "mixture: logits against the components' batch [batch..., S]");
  if (logits_.dim() == 0) throw ShapeError("mixture: the logits need an extent for the components, got a 0-dim tensor");
}

Tensor MixtureSameFamily::weighted_sum(const Tensor& of_components) const {
  const auto event_dims = static_cast<int64_t>(event_shape().size());
  auto weights = logits_.softmax(-1);
  for (int64_t i = 0; i < event_dims; ++i) weights = weights.unsqueeze(-1);
  const auto terms = torch::where(weights == 0, 0.0, weights * of_components);
  return terms.sum(-1 - event_dims).expand(joined(batch_shape(), event_shape()));
}

Tensor MixtureSameFamily::mean() const { return weighted_sum(components_->mean()); }

Tensor MixtureSameFamily::variance() const {
  const auto event_dims = static_cast<int64_t>(event_shape().size());
  const auto deviation = components_->mean() - mean().unsqueeze(-1 - event_dims);
  return weighted_sum(components_->variance() + deviation.square());
}

Tensor MixtureSameFamily::mode() const {
  const auto event_dims = static_cast<int64_t>(event_shape().size());
  auto best = logits_.argmax(-1, /*keepdim=*/true);
  for (int64_t i = 0; i < event_dims; ++i) best = best.unsqueeze(-1);
  const auto modes = components_->mode();
  auto shape = modes.sizes().vec();
  shape[modes.dim() - 1 - event_dims] = 1;
  return modes.gather(-1 - event_dims, best.expand(shape)).squeeze(-1 - event_dims).expand(joined(batch_shape(), event_shape()));
}

DistributionPtr MixtureSameFamily::detached() const {
  return std::make_shared<MixtureSameFamily>(logits_.detach(), components_->detached(), batch_shape());
}

Tensor MixtureSameFamily::do_log_prob(const Tensor& value) const {
  const auto event_dims = static_cast<int64_t>(event_shape().size());
  const auto log_w = log_weights();
  const auto each = components_->log_prob(value.unsqueeze(-1 - event_dims));  // [sample..., batch..., S]
  // A removed component is cut off by where: whatever its density is, infinite or NaN, it reaches neither value nor gradient.
  const auto joint = torch::where(log_w == -INFINITY, -INFINITY, log_w + each);
  const auto log_prob = torch::logsumexp(joint, -1);
  return log_prob.expand(at::infer_size(log_prob.sizes(), batch_shape()));
}

Tensor MixtureSameFamily::do_sample(at::IntArrayRef leading, Noise& noise) const {
  const auto event_dims = static_cast<int64_t>(event_shape().size());
  auto chosen = detail::pick_class(logits_.softmax(-1), noise.uniform(leading, {})).unsqueeze(-1);  // [leading..., 1]
  ComponentNoise component_noise(noise);
  const auto each = components_->sample(joined(leading, {num_components()}), component_noise);  // [leading..., S, event...]
  for (int64_t i = 0; i < event_dims; ++i) chosen = chosen.unsqueeze(-1);
  auto shape = each.sizes().vec();
  shape[each.dim() - 1 - event_dims] = 1;
  return each.gather(-1 - event_dims, chosen.expand(shape)).squeeze(-1 - event_dims);
}

}  // namespace elbo
