#include "elbo/distributions/laplace_prior.h"

#include "elbo/distributions/laplace.h"
#include "elbo/distributions/laplace_posterior.h"

namespace elbo {
namespace {

class LaplacePrior final : public Prior {
 public:
  LaplacePrior(const LaplacePriorConfig& config, const PriorContext& context)
      : latent_size_(context.latent_size),
        // A buffer without elements: it follows the module to its device and type, and is nothing to save.
        where_(register_buffer("where", torch::empty({0}))) {
    if (config.learn_scale) scale_ = register_parameter("scale", torch::zeros({latent_size_}));
  }

  DistributionPtr forward(int64_t B) override {
    const auto zero = torch::zeros({B, latent_size_}, where_.options());
    return std::make_shared<Laplace>(zero, scale_.defined() ? detail::log_scales_that_add_up(scale_).expand_as(zero) : zero);
  }

 private:
  int64_t latent_size_;
  Tensor where_, scale_ = {};
};

}  // namespace

std::shared_ptr<Prior> make_laplace_prior(const LaplacePriorConfig& config, const PriorContext& context) {
  return std::make_shared<LaplacePrior>(config, context);
}

}  // namespace elbo
