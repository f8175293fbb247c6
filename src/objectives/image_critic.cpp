#include "image_critic.h"

#include "elbo/base/error.h"
#include "elbo/base/text.h"
#include "elbo/objectives/adversarial.h"

namespace elbo::detail {
namespace {

const FieldSpec& image_field(const std::string& name, const ObjectiveContext& context) {
  const auto found = context.spec.find(name);
  if (found != context.spec.end() && found->second.shape.size() == 3) return found->second;
  throw ConfigError(context.objective + " has a critic of images [C, H, W]; the data set's field " + name + " is none");
}

}  // namespace

SeenImage::SeenImage(const std::string& field, const ObjectiveContext& context)
    : spec_(image_field(field, context)), is_unit_(spec_.kind == ValueKind::unit || spec_.kind == ValueKind::binary) {}

PerceptualTerm::PerceptualTerm(const FeatureDistanceConfig& config, const SeenImage& image)
    : weight_(config.weight), distance_(config) {
  const auto channels = image.spec().shape[0];
  for (const auto* values : {&config.shift, &config.scale}) {
    const auto size = static_cast<int64_t>(values->size());
    if (size <= 1 || size == channels || channels == 1) continue;
    throw ConfigError(text("objective.perceptual: got ", size, " numbers for shift or scale, the images have ", channels,
                           " channels; give one number for each"));
  }
}

Tensor PerceptualTerm::add_to(LossTerms& losses, const Tensor& image, const Tensor& target, double n) {
  if (weight_ == 0) return {};
  const auto distance = distance_(image, target);
  const auto weighted = n * weight_ * distance;
  losses.loss = losses.loss + weighted;
  losses.terms.push_back({"perceptual", distance.detach()});
  return weighted;
}

ImageCritic::ImageCritic(const ImageCriticOptions& options, const SeenImage& image, const ObjectiveContext& context)
    : start_(options.start), weight_("critic_weight", options.weight, context.device) {
  Stream init(context.seed, "critic", at::kCPU);
  network_ = std::make_shared<PatchCritic>(options.network, image.spec().shape, init);
}

Phase ImageCritic::phase(std::function<LossTerms(const Batch&, Step&)> losses) const {
  return {.name = "critic", .parameters = network_->parameters(), .from_step = start_, .losses = std::move(losses)};
}

void ImageCritic::pull(LossTerms& losses, const Tensor& rest, const Tensor& image, double n, const Tensor& last,
                       const Step& step) {
  auto generator = torch::zeros_like(rest.detach()), lambda = torch::zeros({}, rest.options().requires_grad(false));
  if (!step.training || step.index >= start_) {
    generator = -network_->forward(image).mean({1, 2});
    lambda = adaptive_weight(rest.mean(), n * generator.mean(), last, weight_.tensor());
    losses.loss = losses.loss + lambda * n * generator;
  }
  losses.terms.push_back({"generator", generator.detach()});
  losses.terms.push_back({"adaptive_weight", lambda});
}

ImageCritic::Scores ImageCritic::scored(LossTerms& losses, const Tensor& image, const Tensor& target) {
  Scores scores;
  scores.fake = network_->forward(image);
  scores.real = network_->forward(target);  // the last: running statistics are of real images
  losses.terms.push_back({"critic_real", scores.real.detach().mean({1, 2})});
  losses.terms.push_back({"critic_fake", scores.fake.detach().mean({1, 2})});
  return scores;
}

void ImageCritic::judge(LossTerms& losses, const Tensor& image, const Tensor& target) {
  const auto scores = scored(losses, image, target);
  losses.loss = hinge_loss(scores.real, scores.fake);
}

void check_output_weight(const Tensor& weight, const ObjectiveContext& context) {
  if (weight.defined()) return;
  throw ConfigError(context.objective + " weighs its critic by gradients of the decoder's last layer; the decoder of " +
                    context.model + " names none");
}

}  // namespace elbo::detail
