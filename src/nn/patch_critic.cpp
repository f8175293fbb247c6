#include "elbo/nn/patch_critic.h"

#include <algorithm>

#include "elbo/base/error.h"
#include "elbo/math/precision.h"
#include "images.h"

namespace elbo {
namespace {

constexpr int64_t kKernel = 4, kPadding = 1, kMostDoublings = 3;

std::shared_ptr<Layer> critic_conv(int64_t from, int64_t to, int64_t stride, Bias bias, Stream& init) {
  return std::make_shared<Layer>(LayerOptions{.kind = LayerKind::conv,
                                              .in = from,
                                              .out = to,
                                              .kernel = kKernel,
                                              .stride = stride,
                                              .padding = kPadding,
                                              .bias = bias,
                                              .init = WeightInit::dcgan},
                                 init);
}

std::shared_ptr<NormLayer> critic_norm(Norm kind, int64_t channels, Stream& init) {
  auto norm = make_norm({.norm = kind, .channels = channels});
  const torch::NoGradGuard no_grad;
  constexpr double kSpread = 0.02;
  for (auto& parameter : norm->named_parameters()) {
    if (parameter.key() == "weight") parameter.value().copy_(1 + kSpread * init.normal({channels}, {}));
  }
  return norm;
}

}  // namespace

PatchCritic::PatchCritic(const PatchCriticConfig& config, const Shape& image, Stream& init) {
  detail::check_image(image, "the critic");
  auto height = image[1], width = image[2];
  const auto bias = config.norm == Norm::none ? Bias::yes : Bias::no;
  int64_t from = image[0];
  for (int64_t i = 0; i <= config.layers; ++i) {
    const int64_t stride = i < config.layers ? 2 : 1;
    const int64_t to = config.channels << std::min(i, kMostDoublings);
    convs_.push_back(critic_conv(from, to, stride, i == 0 ? Bias::yes : bias, init));
    if (i > 0) norms_.push_back(critic_norm(config.norm, to, init));
    from = to;
    height = (height + 2 * kPadding - kKernel) / stride + 1;
    width = (width + 2 * kPadding - kKernel) / stride + 1;
  }
  convs_.push_back(critic_conv(from, 1, 1, Bias::yes, init));
  constexpr int64_t kLeast = kKernel - 2 * kPadding;  // what the last convolution needs
  if (std::min(height, width) < kLeast) {
    throw ConfigError("the critic: " + std::to_string(config.layers) + " layers leave " + detail::image_text(image) +
                      " images no patch; give fewer critic.layers");
  }
  register_list(*this, "convs", convs_);
  register_list(*this, "norms", norms_);
}

Tensor PatchCritic::forward(const Tensor& x) {
  constexpr double kSlope = 0.2;
  auto h = torch::leaky_relu(convs_.front()->forward(x), kSlope);
  for (size_t i = 0; i < norms_.size(); ++i) h = torch::leaky_relu(norms_[i]->forward(convs_[i + 1]->forward(h)), kSlope);
  return full_precision(convs_.back()->forward(h)).squeeze(1);
}

}  // namespace elbo
