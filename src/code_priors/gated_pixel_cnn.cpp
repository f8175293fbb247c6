#include "elbo/code_priors/gated_pixel_cnn.h"

#include "place_prior.h"

namespace elbo {
namespace {

using detail::ConditionTerm, detail::PlaceNetworkContext, detail::Scan, detail::ScanConv, detail::Window;

/// tanh of the first half of the channels times the sigmoid of the second.
Tensor tanh_gate(const Tensor& sums, Arithmetic& arithmetic) {
  const auto halves = sums.chunk(2, 1);
  return arithmetic.tanh(halves[0]) * arithmetic.sigmoid(halves[1]);
}

class GatedLayer final : public torch::nn::Module {
 public:
  enum class Place { first, later };

  GatedLayer(const GatedPixelCnnConfig& config, Place place, const PlaceNetworkContext& context)
      : place_(place),
        dropout_(config.dropout),
        rows_(Window::rows_to_own(kernel(config, place))),
        row_(place == Place::first ? Window::before(kernel(config, place)) : Window::to_own(kernel(config, place))) {
    const auto width = config.width;
    vertical_ = convolution("vertical", {.in = width, .out = 2 * width, .rows = rows_.rows, .columns = rows_.columns}, context);
    // Without a bias: nothing is above the first row, and the horizontal convolution has one.
    link_ = convolution("link", {.in = 2 * width, .out = 2 * width, .bias = Bias::no}, context);
    horizontal_ = convolution("horizontal", {.in = width, .out = 2 * width, .rows = row_.rows, .columns = row_.columns}, context);
    out_ = convolution("out", {.in = width, .out = width}, context);
    vertical_condition_ = register_module("vertical_condition", std::make_shared<ConditionTerm>(2 * width, context));
    horizontal_condition_ = register_module("horizontal_condition", std::make_shared<ConditionTerm>(2 * width, context));
  }

  /// The vertical stack's sums before the gate. x is not read by the first layer.
  Tensor vertical(Scan& scan, const Tensor& x) {
    return vertical_condition_->added(scan, vertical_->forward(scan, input(scan, x, rows_)));
  }
  Tensor link(Scan& scan, const Tensor& sums) { return link_->forward(scan, sums); }
  Tensor horizontal(Scan& scan, const Tensor& x, const Tensor& linked) {
    const auto sums = horizontal_condition_->added(scan, horizontal_->forward(scan, input(scan, x, row_)) + linked);
    const auto h = out_->forward(scan, detail::dropped(scan, tanh_gate(sums, scan.arithmetic()), dropout_));
    return place_ == Place::first ? h : x + h;
  }

 private:
  static int64_t kernel(const GatedPixelCnnConfig& config, Place place) {
    return place == Place::first ? config.entry_kernel : config.kernel;
  }
  std::shared_ptr<ScanConv> convolution(const std::string& name, const detail::ScanConvOptions& options,
                                        const PlaceNetworkContext& context) {
    return register_module(name, std::make_shared<ScanConv>(options, context.init));
  }
  Tensor input(Scan& scan, const Tensor& x, const Window& window) const {
    return place_ == Place::first ? scan.codes(window) : scan.window(x, window);
  }

  Place place_;
  double dropout_;
  Window rows_, row_;
  std::shared_ptr<ScanConv> vertical_, link_, horizontal_, out_;
  std::shared_ptr<ConditionTerm> vertical_condition_, horizontal_condition_;
};

class GatedPixelCnnNetwork final : public detail::PlaceNetwork {
 public:
  GatedPixelCnnNetwork(const GatedPixelCnnConfig& config, const PlaceNetworkContext& context) {
    for (int64_t i = 0; i < config.layers; ++i) {
      const auto place = i == 0 ? GatedLayer::Place::first : GatedLayer::Place::later;
      layers_.push_back(std::make_shared<GatedLayer>(config, place, context));
    }
    register_list(*this, "layers", layers_);
    link_channels_.assign(layers_.size(), 2 * config.width);
  }

  Tensor features(Scan& scan) override {
    const auto links = scan.one_row_down([this](Scan& rows) { return vertical(rows); }, link_channels_);
    Tensor h;
    for (size_t i = 0; i < layers_.size(); ++i) h = layers_[i]->horizontal(scan, h, links[i]);
    return h;
  }

 private:
  std::vector<Tensor> vertical(Scan& rows) {
    std::vector<Tensor> links;
    Tensor h;
    for (const auto& layer : layers_) {
      const auto sums = layer->vertical(rows, h);
      links.push_back(layer->link(rows, sums));
      if (layer != layers_.back()) h = tanh_gate(sums, rows.arithmetic());
    }
    return links;
  }

  std::vector<std::shared_ptr<GatedLayer>> layers_;
  std::vector<int64_t> link_channels_;
};

}  // namespace

std::shared_ptr<AutoregressiveCodePrior> make_gated_pixel_cnn(const GatedPixelCnnConfig& config,
                                                              const CodePriorContext& context) {
  return detail::make_place_prior(
      {.name = "gated_pixel_cnn",
       .summary = "gated_pixel_cnn " + std::to_string(config.layers) + " x " + std::to_string(config.width),
       .width = config.width,
       .reach = config.entry_kernel / 2,
       .above_layers = config.above_layers},
      context, [&](const PlaceNetworkContext& inner) { return std::make_shared<GatedPixelCnnNetwork>(config, inner); });
}

}  // namespace elbo
