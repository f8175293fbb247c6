// Components of one's own, added to the catalogs and then used by the YAML file beside this one like any other: a data set, a
// likelihood and an objective. The program has every command of `elbo`:
//
//   own_components train own_components.yaml --run runs/own
//   own_components evaluate runs/own
//   own_components describe objective/renyi
#include <elbo/elbo.h>

#include <cmath>

namespace {

using elbo::Tensor;

// ---- data: points on a noisy circle ----

struct RingConfig {
  int64_t points = 2000;
  double noise = 0.1;
  int64_t batch_size = 100;

  template <class F>
  void fields(F& field) {
    field("points", points, "how many", elbo::at_least(10));
    field("noise", noise, "standard deviation around the circle", elbo::at_least(0));
    field("batch_size", batch_size, "rows a training batch", elbo::at_least(1));
  }
};

std::shared_ptr<elbo::Dataset> make_ring(const RingConfig& config, const elbo::DataContext& context) {
  elbo::Stream stream(context.seed, "ring", at::kCPU);
  const auto angle = stream.uniform({config.points}, {1}) * (2 * M_PI);
  const auto circle = torch::cat({angle.cos(), angle.sin()}, 1);
  return elbo::make_tensor_set(circle + config.noise * stream.normal({config.points}, {2}),
                               {.options = {.batch_size = config.batch_size}, .seed = context.seed});
}

// ---- likelihood: logistic, with one learned scale ----

class Logistic final : public elbo::Distribution {
 public:
  Logistic(Tensor mean, Tensor log_scale, int64_t event_dims)
      : Distribution(mean, event_dims), mean_(std::move(mean)), log_scale_(std::move(log_scale)) {}

  Tensor mean() const override { return mean_; }
  Tensor variance() const override { return ((2 * log_scale_).exp() * (M_PI * M_PI / 3)).expand_as(mean_); }
  elbo::DistributionPtr detached() const override {
    return std::make_shared<Logistic>(mean_.detach(), log_scale_.detach(), static_cast<int64_t>(event_shape().size()));
  }
  std::string_view name() const override { return "logistic"; }

 private:
  Tensor do_log_prob(const Tensor& value) const override {
    return elbo::sum_last(do_log_prob_per_element(value), static_cast<int64_t>(event_shape().size()));
  }
  Tensor do_log_prob_per_element(const Tensor& value) const override {
    const auto u = (value - mean_) / log_scale_.exp();
    return -u - 2 * torch::softplus(-u) - log_scale_;
  }
  Tensor do_sample(at::IntArrayRef leading, elbo::Noise& noise) const override {
    return mean_ + log_scale_.exp() * noise.uniform(leading, event_shape()).logit(1e-6);
  }

  Tensor mean_;
  Tensor log_scale_;
};

struct LogisticConfig {
  double scale = 0.5;

  template <class F>
  void fields(F& field) {
    field("scale", scale, "where the learned scale starts", elbo::more_than(0));
  }
};

class LogisticLikelihood final : public elbo::Likelihood {
 public:
  LogisticLikelihood(const LogisticConfig& config, elbo::Shape shape) : shape_(std::move(shape)) {
    log_scale_ = register_parameter("log_scale", torch::full({}, std::log(config.scale)));
  }
  elbo::Shape parameter_shape() const override { return shape_; }
  elbo::DistributionPtr forward(const Tensor& mean) override {
    return std::make_shared<Logistic>(mean, log_scale_, static_cast<int64_t>(shape_.size()));
  }
  Tensor bias_for_mean(const Tensor& mean) const override { return mean; }

 private:
  elbo::Shape shape_;
  Tensor log_scale_;
};

std::shared_ptr<elbo::Likelihood> make_logistic(const LogisticConfig& config, const elbo::LikelihoodContext& context) {
  return std::make_shared<LogisticLikelihood>(config, context.field.shape);
}

// ---- objective: the variational Rényi bound, log-mean of the weights' (1 - alpha)-th powers ----

struct RenyiConfig {
  double alpha = 0.5;
  int64_t samples = 5;

  template <class F>
  void fields(F& field) {
    field("alpha", alpha, "order: 0 is iwae, towards 1 it is elbo", elbo::at_least(0).below(1));
    field("samples", samples, "posterior samples K an example", elbo::at_least(1));
  }
};

class Renyi final : public elbo::Objective {
 public:
  Renyi(const RenyiConfig& config, elbo::Variational& model) : config_(config), model_(model) {}

  elbo::LossTerms losses(const elbo::Batch& batch, elbo::Step& step) override {
    const auto latents = model_.infer(batch, config_.samples, step.noise);                         // z [K, B, D]
    const auto log_w = elbo::log_weights(latents, log_likelihood(model_.decode(latents, batch)));  // [K, B]
    const auto bound = elbo::log_mean_exp(latents, (1 - config_.alpha) * log_w) / (1 - config_.alpha);
    return {.loss = -bound, .terms = {{"bound", bound.detach()}}};
  }
  int64_t samples() const override { return config_.samples; }

 private:
  RenyiConfig config_;
  elbo::Variational& model_;
};

std::shared_ptr<elbo::Objective> make_renyi(const RenyiConfig& config, elbo::Variational& model, const elbo::ObjectiveContext&) {
  return std::make_shared<Renyi>(config, model);
}

}  // namespace

int main(int argc, char** argv) {
  elbo::datasets().add("ring", "points on a noisy circle", make_ring);
  elbo::likelihoods().add("logistic", "independent logistic variables with one learned scale", make_logistic);
  elbo::objectives().add<RenyiConfig>("renyi", "Li & Turner 2016 (arXiv:1602.02311), eq. 5", elbo::on_variational(make_renyi));
  return elbo::run_program(argc, argv);
}
