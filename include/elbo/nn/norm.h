#pragma once
#include <torch/nn/module.h>

#include <array>
#include <memory>
#include <string_view>
#include <utility>

#include "elbo/math/couples_batch.h"
#include "elbo/math/step.h"

namespace elbo {

/// What activations are normalised over; each has a trainable scale and shift for each channel.
enum class Norm {
  none,
  batch,  // a channel over the batch and all places: Ioffe & Szegedy 2015 (arXiv:1502.03167)
  group,  // a group of channels of one example over all places: Wu & He 2018 (arXiv:1803.08494)
  layer   // all channels of one example over all places: Ba et al. 2016 (arXiv:1607.06450); group with one group
};
constexpr auto enum_names(Norm) {
  return std::array{std::pair{std::string_view("none"), Norm::none}, std::pair{std::string_view("batch"), Norm::batch},
                    std::pair{std::string_view("group"), Norm::group}, std::pair{std::string_view("layer"), Norm::layer}};
}

/// Shapes: [N, C] or [N, C, H, W] -> the same. Parameters: weight, bias (none for Norm::none).
class NormLayer : public torch::nn::Module {
 public:
  virtual Tensor forward(const Tensor& x) = 0;
};

struct NormOptions {
  Norm norm = Norm::none;
  int64_t channels = 0;
  int64_t groups = 8;  // of Norm::group
  double epsilon = 1e-5;
  double momentum = 0.1;  // of Norm::batch: weight of a new batch in the running statistics
};

/// Throws: ConfigError where the groups don't divide the channels.
std::shared_ptr<NormLayer> make_norm(const NormOptions& options);

/// Batch normalisation by the statistics of the batch in training and by running ones in evaluation.
/// Buffers: running_mean, running_var (unbiased), num_batches_tracked, as PyTorch's.
/// Differs: the running statistics move in after_step, by the last training batch of the step, not in each forward pass.
class BatchNorm final : public NormLayer, public Stepped, public CouplesBatch {
 public:
  explicit BatchNorm(const NormOptions& options);
  /// Throws: ShapeError in training when there is one value a channel.
  Tensor forward(const Tensor& x) override;
  void after_step(const Step& step) override;
  std::string_view couples_batch_by() const override { return "batch normalisation"; }

 private:
  NormOptions options_;
  Tensor weight_, bias_;
  Tensor running_mean_, running_var_, num_batches_;
  Tensor batch_mean_, batch_var_;  // of the last training batch; undefined once taken in
};

}  // namespace elbo
