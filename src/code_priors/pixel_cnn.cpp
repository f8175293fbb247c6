#include "elbo/code_priors/pixel_cnn.h"

#include <ATen/ops/relu.h>

#include "place_prior.h"

namespace elbo {
namespace {

using detail::CausalConv, detail::ConditionTerm, detail::PlaceNetworkContext, detail::Scan, detail::ScanConv;

class PixelCnnBlock final : public torch::nn::Module {
 public:
  PixelCnnBlock(const PixelCnnConfig& config, const PlaceNetworkContext& context) : dropout_(config.dropout) {
    const int64_t half = config.width / 2;
    reduce_ = register_module("reduce",
                              std::make_shared<ScanConv>(detail::ScanConvOptions{.in = config.width, .out = half}, context.init));
    causal_ = register_module("causal", std::make_shared<CausalConv>(
                                            CausalConv::Options{.in = half, .out = half, .kernel = config.kernel}, context.init));
    condition_ = register_module("condition", std::make_shared<ConditionTerm>(half, context));
    expand_ = register_module("expand",
                              std::make_shared<ScanConv>(detail::ScanConvOptions{.in = half, .out = config.width}, context.init));
  }

  Tensor forward(Scan& scan, const Tensor& x) {
    const auto reduced = reduce_->forward(scan, at::relu(x));
    const auto seen = condition_->added(scan, causal_->forward(scan, at::relu(reduced)));
    return x + expand_->forward(scan, detail::dropped(scan, at::relu(seen), dropout_));
  }

 private:
  double dropout_;
  std::shared_ptr<ScanConv> reduce_, expand_;
  std::shared_ptr<CausalConv> causal_;
  std::shared_ptr<ConditionTerm> condition_;
};

class PixelCnnNetwork final : public detail::PlaceNetwork {
 public:
  PixelCnnNetwork(const PixelCnnConfig& config, const PlaceNetworkContext& context) {
    entry_ = register_module(
        "entry", std::make_shared<CausalConv>(
                     CausalConv::Options{
                         .in = config.width, .out = config.width, .kernel = config.entry_kernel, .kind = CausalConv::Kind::entry},
                     context.init));
    condition_ = register_module("condition", std::make_shared<ConditionTerm>(config.width, context));
    for (int64_t i = 0; i < config.layers; ++i) blocks_.push_back(std::make_shared<PixelCnnBlock>(config, context));
    register_list(*this, "blocks", blocks_);
  }

  Tensor features(Scan& scan) override {
    auto h = condition_->added(scan, entry_->forward(scan));
    for (const auto& block : blocks_) h = block->forward(scan, h);
    return h;
  }

 private:
  std::shared_ptr<CausalConv> entry_;
  std::shared_ptr<ConditionTerm> condition_;
  std::vector<std::shared_ptr<PixelCnnBlock>> blocks_;
};

}  // namespace

std::shared_ptr<AutoregressiveCodePrior> make_pixel_cnn(const PixelCnnConfig& config, const CodePriorContext& context) {
  return detail::make_place_prior(
      {.name = "pixel_cnn",
       .summary = "pixel_cnn " + std::to_string(config.layers) + " x " + std::to_string(config.width),
       .width = config.width,
       .reach = config.entry_kernel / 2,
       .above_layers = config.above_layers},
      context, [&](const PlaceNetworkContext& inner) { return std::make_shared<PixelCnnNetwork>(config, inner); });
}

}  // namespace elbo
