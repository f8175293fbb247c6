#include "elbo/distributions/standard_normal_prior.h"

#include "elbo/distributions/normal.h"

namespace elbo {
namespace {

class StandardNormalPrior final : public Prior {
 public:
  explicit StandardNormalPrior(const PriorContext& context)
      : latent_size_(context.latent_size),
        // A buffer without elements: it follows the module to its device and type, and is nothing to save.
        where_(register_buffer("where", torch::empty({0}))) {}

  DistributionPtr forward(int64_t B) override {
    return std::make_shared<StandardNormal>(Shape{B}, Shape{latent_size_}, where_.options());
  }

 private:
  int64_t latent_size_;
  Tensor where_;
};

}  // namespace

std::shared_ptr<Prior> make_standard_normal_prior(const NoConfig&, const PriorContext& context) {
  return std::make_shared<StandardNormalPrior>(context);
}

}  // namespace elbo
