#include "elbo/distributions/normal_prior.h"

#include "elbo/distributions/normal.h"
#include "elbo/math/init.h"

namespace elbo {
namespace {

class NormalPrior final : public Prior {
 public:
  NormalPrior(const NormalPriorConfig& config, const PriorContext& context) {
    const Shape shape = {context.latent_size};
    mean_ = register_parameter("mean", context.init.normal(shape, {}).to(torch::kCPU) * config.spread);
    log_var_ = register_parameter("log_var", torch::zeros(shape));
  }

  DistributionPtr forward(int64_t B) override {
    return std::make_shared<Normal>(mean_.expand({B, -1}), log_var_.expand({B, -1}));
  }

 private:
  Tensor mean_, log_var_;
};

}  // namespace

std::shared_ptr<Prior> make_normal_prior(const NormalPriorConfig& config, const PriorContext& context) {
  return std::make_shared<NormalPrior>(config, context);
}

}  // namespace elbo
