#include "elbo/distributions/mixture_prior.h"

#include "elbo/distributions/mixture.h"
#include "elbo/distributions/normal.h"
#include "elbo/math/init.h"

namespace elbo {
namespace {

class MixturePrior final : public Prior {
 public:
  MixturePrior(const MixturePriorConfig& config, const PriorContext& context) {
    check_num_parameters(2.0 * static_cast<double>(config.components) * static_cast<double>(context.latent_size),
                         "mixture prior");
    const Shape shape = {config.components, context.latent_size};
    const auto means = context.init.normal(shape, {}).to(torch::kCPU) * config.spread;
    logits_ = register_parameter("logits", torch::zeros({config.components}));
    means_ = register_parameter("means", means);
    log_vars_ = register_parameter("log_vars", torch::zeros(shape));
  }

  DistributionPtr forward(int64_t B) override {
    return std::make_shared<MixtureSameFamily>(logits_, std::make_shared<Normal>(means_, log_vars_), Shape{B});
  }

 private:
  Tensor logits_, means_, log_vars_;
};

}  // namespace

std::shared_ptr<Prior> make_mixture_prior(const MixturePriorConfig& config, const PriorContext& context) {
  return std::make_shared<MixturePrior>(config, context);
}

}  // namespace elbo
