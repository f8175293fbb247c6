#include "elbo/code_priors/pixel_snail.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>

#include "elbo/base/error.h"
#include "place_prior.h"

namespace elbo {
namespace {

using detail::CausalConv, detail::ConditionTerm, detail::PlaceNetworkContext, detail::Scan, detail::ScanConv;
using ScanConvPtr = std::shared_ptr<ScanConv>;

constexpr int64_t kCoordinates = 2;

ScanConvPtr pointwise(torch::nn::Module& parent, const std::string& name, int64_t in, int64_t out, Stream& init) {
  return parent.register_module(
      name, std::make_shared<ScanConv>(
                detail::ScanConvOptions{.in = in, .out = out, .parametrization = Parametrization::weight_norm}, init));
}

std::shared_ptr<CausalConv> causal(torch::nn::Module& parent, const std::string& name, CausalConv::Options options,
                                   Stream& init) {
  options.parametrization = Parametrization::weight_norm;
  return parent.register_module(name, std::make_shared<CausalConv>(options, init));
}

/// The first half of the channels times the sigmoid of the second.
Tensor glu(const Tensor& sums, Arithmetic& arithmetic) {
  const auto halves = sums.chunk(2, 1);
  return halves[0] * arithmetic.sigmoid(halves[1]);
}

/// x + GLU(conv2(dropout(ELU(conv1(ELU(x))))) + condition), with causal convolutions.
class GatedResidual final : public torch::nn::Module {
 public:
  GatedResidual(const PixelSnailConfig& config, const PlaceNetworkContext& context) : dropout_(config.dropout) {
    const auto width = config.width;
    conv1_ = causal(*this, "conv1", {.in = width, .out = width, .kernel = config.kernel}, context.init);
    conv2_ = causal(*this, "conv2", {.in = width, .out = 2 * width, .kernel = config.kernel}, context.init);
    condition_ = register_module("condition", std::make_shared<ConditionTerm>(2 * width, context));
  }
  Tensor forward(Scan& scan, const Tensor& x) {
    auto& arithmetic = scan.arithmetic();
    const auto hidden = arithmetic.elu(conv1_->forward(scan, arithmetic.elu(x)));
    const auto sums = conv2_->forward(scan, detail::dropped(scan, hidden, dropout_));
    return x + glu(condition_->added(scan, sums), arithmetic);
  }

 private:
  double dropout_;
  std::shared_ptr<CausalConv> conv1_, conv2_;
  std::shared_ptr<ConditionTerm> condition_;
};

/// The same with 1 x 1 convolutions, through `hidden` channels, and where asked with something attended to.
class PointwiseResidual final : public torch::nn::Module {
 public:
  PointwiseResidual(int64_t channels, int64_t hidden, int64_t attended, double dropout, Stream& init) : dropout_(dropout) {
    conv1_ = pointwise(*this, "conv1", channels, hidden, init);
    if (attended > 0) attended_ = pointwise(*this, "attended", attended, hidden, init);
    conv2_ = pointwise(*this, "conv2", hidden, 2 * channels, init);
  }
  Tensor forward(Scan& scan, const Tensor& x, const Tensor& attended = {}) {
    auto& arithmetic = scan.arithmetic();
    auto hidden = conv1_->forward(scan, arithmetic.elu(x));
    if (attended_) hidden = hidden + attended_->forward(scan, arithmetic.elu(attended));
    return x + glu(conv2_->forward(scan, detail::dropped(scan, arithmetic.elu(hidden), dropout_)), arithmetic);
  }

 private:
  double dropout_;
  ScanConvPtr conv1_, conv2_, attended_;
};

class SnailBlock final : public torch::nn::Module {
 public:
  SnailBlock(const PixelSnailConfig& config, const PlaceNetworkContext& context) : config_(config) {
    for (int64_t i = 0; i < config.layers; ++i) layers_.push_back(std::make_shared<GatedResidual>(config, context));
    register_list(*this, "layers", layers_);
    const int64_t width = config.width, half = width / 2;
    auto& init = context.init;
    if (!config.attention) {
      out_ = pointwise(*this, "out", width + kCoordinates, width, init);
      return;
    }
    const int64_t key_channels = context.width + width + kCoordinates, query_channels = width + kCoordinates;
    key_layer_ = residual("key_layer", key_channels, 0, init);
    query_layer_ = residual("query_layer", query_channels, 0, init);
    query_ = pointwise(*this, "query", query_channels, half, init);
    key_ = pointwise(*this, "key", key_channels, half, init);
    value_ = pointwise(*this, "value", key_channels, half, init);
    out_layer_ = residual("out_layer", width, half, init);
  }

  Tensor forward(Scan& scan, const Tensor& x, const Tensor& coordinates) {
    auto h = x;
    for (const auto& layer : layers_) h = layer->forward(scan, h);
    if (!config_.attention) return out_->forward(scan, at::cat({h, coordinates}, 1));
    const auto queries = query_layer_->forward(scan, at::cat({h, coordinates}, 1));
    const auto keys_of = [&](const Tensor& content) -> detail::KeysAndValues {
      const auto keys = key_layer_->forward(scan, content);
      return {.keys = key_->forward(scan, keys), .values = value_->forward(scan, keys)};
    };
    const auto attended = scan.attend(query_->forward(scan, queries), at::cat({h, coordinates}, 1), keys_of, config_.heads);
    return out_layer_->forward(scan, h, attended);
  }

 private:
  std::shared_ptr<PointwiseResidual> residual(const std::string& name, int64_t channels, int64_t attended, Stream& init) {
    return register_module(name, std::make_shared<PointwiseResidual>(channels, config_.width, attended, config_.dropout, init));
  }

  PixelSnailConfig config_;
  std::vector<std::shared_ptr<GatedResidual>> layers_;
  std::shared_ptr<PointwiseResidual> key_layer_, query_layer_, out_layer_;
  ScanConvPtr query_, key_, value_, out_;
};

/// Shapes: [1, 2, h, w].
Tensor coordinate_map(const CodeGrid& grid) {
  const auto along = [](int64_t i, int64_t n) { return static_cast<float>((i - n / 2.0) / n); };
  auto map = at::empty({1, kCoordinates, grid.height, grid.width});
  auto values = map.accessor<float, 4>();
  for (int64_t i = 0; i < grid.height; ++i) {
    for (int64_t j = 0; j < grid.width; ++j) {
      values[0][0][i][j] = along(i, grid.height);
      values[0][1][i][j] = along(j, grid.width);
    }
  }
  return map;
}

class PixelSnailNetwork final : public detail::PlaceNetwork {
 public:
  PixelSnailNetwork(const PixelSnailConfig& config, const CodeGrid& grid, const PlaceNetworkContext& context) {
    entry_ = causal(*this, "entry",
                    {.in = config.width, .out = config.width, .kernel = config.entry_kernel, .kind = CausalConv::Kind::entry},
                    context.init);
    for (int64_t i = 0; i < config.blocks; ++i) blocks_.push_back(std::make_shared<SnailBlock>(config, context));
    register_list(*this, "blocks", blocks_);
    coordinates_ = register_buffer("coordinates", coordinate_map(grid));
  }

  Tensor features(Scan& scan) override {
    auto h = entry_->forward(scan);
    const auto coordinates = scan.here(coordinates_).expand({h.size(0), -1, -1, -1});
    for (const auto& block : blocks_) h = block->forward(scan, h, coordinates);
    return h;
  }

 private:
  std::shared_ptr<CausalConv> entry_;
  std::vector<std::shared_ptr<SnailBlock>> blocks_;
  Tensor coordinates_;
};

}  // namespace

std::shared_ptr<AutoregressiveCodePrior> make_pixel_snail(const PixelSnailConfig& config, const CodePriorContext& context) {
  if (config.attention && (config.width % 2 != 0 || config.width / 2 % config.heads != 0)) {
    throw ConfigError("pixel_snail: heads must divide half of width " + std::to_string(config.width) + ", got " +
                      std::to_string(config.heads));
  }
  return detail::make_place_prior({.name = "pixel_snail",
                                   .summary = "pixel_snail " + std::to_string(config.blocks) + " x " +
                                              std::to_string(config.layers) + " x " + std::to_string(config.width),
                                   .width = config.width,
                                   .reach = config.entry_kernel / 2,
                                   .above_layers = config.above_layers},
                                  context, [&](const PlaceNetworkContext& inner) {
                                    return std::make_shared<PixelSnailNetwork>(config, context.grid, inner);
                                  });
}

}  // namespace elbo
