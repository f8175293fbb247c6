#include "elbo/distributions/normal_posterior.h"

#include <torch/nn/functional/activation.h>
#include <torch/nn/modules/linear.h>

#include "elbo/base/error.h"
#include "elbo/distributions/normal.h"
#include "elbo/math/precision.h"
#include "elbo/ops/linear.h"
#include "elbo/ops/normal.h"

namespace elbo {
namespace {

class NormalPosterior final : public Posterior {
 public:
  NormalPosterior(const NormalPosteriorConfig& config, const PosteriorContext& context)
      : config_(config), num_features_(context.num_features) {
    check_num_parameters(2.0 * static_cast<double>(context.num_features + 1) * static_cast<double>(context.latent_size),
                         "normal posterior");
    const DefaultGeneratorGuard guard;
    mean_ = register_module("mean", torch::nn::Linear(context.num_features, context.latent_size));
    log_var_ = register_module("log_var", torch::nn::Linear(context.num_features, context.latent_size));
    init_module(*this, config.init, context.init);
  }

  DistributionPtr forward(const Tensor& features) override {
    check_shape(features, {kAnyExtent, num_features_}, "features of the normal posterior");
    auto log_var = clamp(full_precision(linear(features, log_var_->weight, log_var_->bias)), config_.log_var_clamp,
                         config_.log_var_min, config_.log_var_max);
    return std::make_shared<Normal>(full_precision(linear(features, mean_->weight, mean_->bias)), std::move(log_var));
  }

 private:
  NormalPosteriorConfig config_;
  int64_t num_features_;
  torch::nn::Linear mean_ = nullptr, log_var_ = nullptr;
};

}  // namespace

Tensor clamp(const Tensor& x, Clamp how, double lo, double hi) {
  switch (how) {
    case Clamp::none:
      return x;
    case Clamp::hard:
      return x.clamp(lo, hi);
    case Clamp::soft:
      return soft_clip(x, lo, hi);
  }
  return x;
}

std::shared_ptr<Posterior> make_normal_posterior(const NormalPosteriorConfig& config, const PosteriorContext& context) {
  return std::make_shared<NormalPosterior>(config, context);
}

}  // namespace elbo
