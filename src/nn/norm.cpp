#include "elbo/nn/norm.h"

#include "elbo/base/error.h"

namespace elbo {
namespace {

class NoNorm final : public NormLayer {
 public:
  Tensor forward(const Tensor& x) override { return x; }
};

class GroupNorm final : public NormLayer {
 public:
  GroupNorm(int64_t groups, const NormOptions& options) : groups_(groups), epsilon_(options.epsilon) {
    if (options.channels % groups != 0) {
      throw ConfigError("group normalisation: " + std::to_string(options.channels) + " channels don't make " +
                        std::to_string(groups) + " equal groups; choose norm_groups that divides every number of channels");
    }
    weight_ = register_parameter("weight", torch::ones({options.channels}));
    bias_ = register_parameter("bias", torch::zeros({options.channels}));
  }
  Tensor forward(const Tensor& x) override { return torch::group_norm(x, groups_, weight_, bias_, epsilon_); }

 private:
  int64_t groups_;
  double epsilon_;
  Tensor weight_, bias_;
};

}  // namespace

BatchNorm::BatchNorm(const NormOptions& options) : options_(options) {
  weight_ = register_parameter("weight", torch::ones({options.channels}));
  bias_ = register_parameter("bias", torch::zeros({options.channels}));
  running_mean_ = register_buffer("running_mean", torch::zeros({options.channels}));
  running_var_ = register_buffer("running_var", torch::ones({options.channels}));
  num_batches_ = register_buffer("num_batches_tracked", torch::zeros({}, torch::kLong));
}

Tensor BatchNorm::forward(const Tensor& x) {
  constexpr bool kUseCudnn = true;
  if (!is_training()) {
    return torch::batch_norm(x, weight_, bias_, running_mean_, running_var_, /*training=*/false, options_.momentum,
                             options_.epsilon, kUseCudnn);
  }
  if (x.numel() / options_.channels < 2) {
    throw ShapeError("batch normalisation: got " + shape_text(x.sizes()) +
                     ", one value a channel has no variance; train on more than one example a batch");
  }
  // With momentum 1 the kernel writes the batch's own statistics: mean and unbiased variance.
  batch_mean_ = torch::zeros_like(running_mean_);
  batch_var_ = torch::zeros_like(running_var_);
  return torch::batch_norm(x, weight_, bias_, batch_mean_, batch_var_, /*training=*/true, /*momentum=*/1, options_.epsilon,
                           kUseCudnn);
}

void BatchNorm::after_step(const Step&) {
  if (!batch_mean_.defined()) return;
  const torch::NoGradGuard no_grad;
  running_mean_.lerp_(batch_mean_, options_.momentum);
  running_var_.lerp_(batch_var_, options_.momentum);
  num_batches_.add_(1);
  batch_mean_.reset();
  batch_var_.reset();
}

std::shared_ptr<NormLayer> make_norm(const NormOptions& options) {
  switch (options.norm) {
    case Norm::none:
      return std::make_shared<NoNorm>();
    case Norm::batch:
      return std::make_shared<BatchNorm>(options);
    case Norm::group:
      return std::make_shared<GroupNorm>(options.groups, options);
    case Norm::layer:
      return std::make_shared<GroupNorm>(1, options);
  }
  throw UsageError("norm " + std::to_string(static_cast<int>(options.norm)) + " does not exist");
}

}  // namespace elbo
