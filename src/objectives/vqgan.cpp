#include "elbo/objectives/vqgan.h"

#include <torch/autograd.h>

#include "elbo/base/error.h"
#include "elbo/base/text.h"
#include "vq_pass.h"

namespace elbo {

Tensor adaptive_weight(const Tensor& reconstruction, const Tensor& generator, const Tensor& last, const Tensor& weight) {
  if (!torch::GradMode::is_enabled() || !reconstruction.requires_grad() || !generator.requires_grad()) {
    return torch::zeros({}, reconstruction.options().requires_grad(false));
  }
  const auto norm_of_gradient = [&](const Tensor& loss) {
    constexpr bool kRetainGraph = true, kCreateGraph = false, kAllowUnused = true;
    const auto gradient = torch::autograd::grad({loss}, {last}, {}, kRetainGraph, kCreateGraph, kAllowUnused).front();
    return gradient.defined() ? gradient.norm() : torch::zeros({}, loss.options().requires_grad(false));
  };
  constexpr double kEpsilon = 1e-4, kLargest = 1e4;
  const auto ratio = norm_of_gradient(reconstruction) / (norm_of_gradient(generator) + kEpsilon);
  return (ratio.clamp(0, kLargest) * weight).detach();
}

Tensor hinge_loss(const Tensor& real, const Tensor& fake) {
  return (torch::relu(1 - real).mean({1, 2}) + torch::relu(1 + fake).mean({1, 2})) / 2;
}

namespace {

/// The field x of a config's data, an image. Throws: ConfigError.
const FieldSpec& image_of_critic(const VqganConfig& config, const ObjectiveContext& context) {
  const auto found = context.spec.find("x");
  if (found == context.spec.end() || found->second.shape.size() != 3) {
    throw ConfigError(context.objective + " has a critic of images [C, H, W]; the data set's field x is none");
  }
  const auto channels = found->second.shape[0];
  for (const auto* values : {&config.perceptual.shift, &config.perceptual.scale}) {
    const auto size = static_cast<int64_t>(values->size());
    if (size <= 1 || size == channels || channels == 1) continue;
    throw ConfigError(text("objective.perceptual: got ", size, " numbers for shift or scale, the images have ", channels,
                           " channels; give one number for each"));
  }
  return found->second;
}

class Vqgan final : public Objective {
 public:
  Vqgan(const VqganConfig& config, Quantized& model, const ObjectiveContext& context)
      : config_(config),
        model_(model),
        weight_("critic_weight", config.critic_weight, context.device),
        perceptual_(config.perceptual) {
    const auto& x = image_of_critic(config, context);
    is_unit_ = x.kind == ValueKind::unit || x.kind == ValueKind::binary;
    if (!model.output_weight().defined()) {
      throw ConfigError(context.objective + " weighs its critic by gradients of the decoder's last layer; the decoder of " +
                        context.model + " names none");
    }
    Stream init(context.seed, "critic", at::kCPU);
    critic_ = register_module("critic", std::make_shared<PatchCritic>(config.critic, x.shape, init));
  }

  /// What evaluation looks at: everything but a pull of the critic.
  LossTerms losses(const Batch& batch, Step& step) override {
    Tensor image;
    auto losses = main(batch, step, &image);
    add_scores(losses, scores_of(image.detach(), batch));
    return losses;
  }

  std::vector<Phase> phases(Model& model) override {
    Phase main{.name = "main"}, critic{.name = "critic", .from_step = config_.critic_start};
    for (auto& parameter : model.parameters()) {
      if (parameter.requires_grad()) main.parameters.push_back(parameter);
    }
    critic.parameters = critic_->parameters();
    main.losses = [this](const Batch& batch, Step& step) { return this->main(batch, step); };
    critic.losses = [this](const Batch& batch, Step& step) { return this->critic(batch, step); };
    return {main, critic};
  }

  std::vector<Scheduled> scheduled() override {
    auto all = detail::scheduled_of(model_);
    all.push_back(weight_);
    return all;
  }
  bool couples_batch() const override { return true; }

 private:
  struct Scores {
    Tensor real = {};  // [B, h, w]
    Tensor fake = {};
  };

  /// Gives back the reconstruction too where asked.
  LossTerms main(const Batch& batch, Step& step, Tensor* reconstruction = nullptr) {
    auto pass = detail::vq_pass(model_, batch, step, config_.reduction);
    auto losses = std::move(pass.losses);
    const double n = config_.reduction == VqReduction::sum ? pass.elements : 1;
    const auto image = image_of(pass.observations);
    auto nll = pass.distortion;
    if (config_.perceptual.weight > 0) {
      const auto distance = perceptual_(image, centred(batch.at("x")));
      nll = nll + n * config_.perceptual.weight * distance;
      losses.loss = losses.loss + n * config_.perceptual.weight * distance;
      losses.terms.push_back({"perceptual", distance.detach()});
    }
    auto generator = torch::zeros_like(nll.detach()), lambda = torch::zeros({}, nll.options().requires_grad(false));
    if (!step.training || step.index >= config_.critic_start) {
      generator = -critic_->forward(image).mean({1, 2});
      lambda = adaptive_weight(nll.mean(), n * generator.mean(), model_.output_weight(), weight_.tensor());
      losses.loss = losses.loss + lambda * n * generator;
    }
    losses.terms.push_back({"generator", generator.detach()});
    losses.terms.push_back({"adaptive_weight", lambda});
    if (reconstruction) *reconstruction = image;
    return losses;
  }

  LossTerms critic(const Batch& batch, Step& step) {
    LossTerms losses;
    Tensor image;
    {
      const torch::NoGradGuard no_grad;  // and no statistics: the quantisers have seen this batch in phase main
      const auto codes = model_.codes(batch);
      const auto quantizers = model_.quantizers();
      std::vector<Tensor> values;
      for (size_t i = 0; i < codes.size(); ++i) values.push_back(quantizers[i]->decode(codes[i]));
      const auto observations = model_.decode(values, batch);
      image = image_of(observations);
      const auto reported = reported_log_likelihood(observations, log_likelihood(observations));
      losses.terms.push_back({"bound", reported - model_.code_length(codes, batch, step.noise)});
    }
    const auto scores = scores_of(image, batch);
    losses.loss = hinge_loss(scores.real, scores.fake);
    add_scores(losses, scores);
    return losses;
  }

  Scores scores_of(const Tensor& image, const Batch& batch) {
    Scores scores;
    scores.fake = critic_->forward(image);
    scores.real = critic_->forward(centred(batch.at("x")));  // the last: running statistics are of real images
    return scores;
  }
  static void add_scores(LossTerms& losses, const Scores& scores) {
    losses.terms.push_back({"critic_real", scores.real.detach().mean({1, 2})});
    losses.terms.push_back({"critic_fake", scores.fake.detach().mean({1, 2})});
  }

  /// Of [0, 1] to [-1, 1].
  Tensor centred(const Tensor& image) const { return is_unit_ ? 2 * image - 1 : image; }
  Tensor image_of(const std::vector<Observation>& observations) const {
    const auto& observation = observations.front();
    return centred((observation.reported ? observation.reported : observation.likelihood)->mean());
  }

  VqganConfig config_;
  Quantized& model_;
  Scheduled weight_;
  FeatureDistance perceptual_;
  bool is_unit_ = false;
  std::shared_ptr<PatchCritic> critic_;
};

}  // namespace

std::shared_ptr<Objective> make_vqgan(const VqganConfig& config, Quantized& model, const ObjectiveContext& context) {
  return std::make_shared<Vqgan>(config, model, context);
}

}  // namespace elbo
