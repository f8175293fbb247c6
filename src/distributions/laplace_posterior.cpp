#include "elbo/distributions/laplace_posterior.h"

#include <torch/nn/modules/linear.h>

#include "elbo/distributions/laplace.h"
#include "elbo/math/precision.h"

namespace elbo {
namespace {

class LaplacePosterior final : public Posterior {
 public:
  LaplacePosterior(const LaplacePosteriorConfig& config, const PosteriorContext& context) : num_features_(context.num_features) {
    check_num_parameters(2.0 * static_cast<double>(context.num_features + 1) * static_cast<double>(context.latent_size),
                         "laplace posterior");
    const DefaultGeneratorGuard guard;
    mean_ = register_module("mean", torch::nn::Linear(context.num_features, context.latent_size));
    scale_ = register_module("scale", torch::nn::Linear(context.num_features, context.latent_size));
    init_module(*this, config.init, context.init);
  }

  DistributionPtr forward(const Tensor& features) override {
    check_shape(features, {kAnyExtent, num_features_}, "features of the laplace posterior");
    auto log_scale = detail::log_scales_that_add_up(full_precision(scale_->forward(features)));
    return std::make_shared<Laplace>(full_precision(mean_->forward(features)), std::move(log_scale));
  }

 private:
  int64_t num_features_;
  torch::nn::Linear mean_ = nullptr, scale_ = nullptr;
};

}  // namespace

Tensor detail::log_scales_that_add_up(const Tensor& raw) {
  constexpr double kLeast = 1e-6;
  return (static_cast<double>(raw.size(-1)) * raw.softmax(-1) + kLeast).log();
}

std::shared_ptr<Posterior> make_laplace_posterior(const LaplacePosteriorConfig& config, const PosteriorContext& context) {
  return std::make_shared<LaplacePosterior>(config, context);
}

}  // namespace elbo
