#pragma once
#include <torch/nn/module.h>
#include <torch/nn/modules/container/modulelist.h>

#include <array>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "elbo/math/init.h"
#include "elbo/math/step.h"
#include "elbo/nn/network.h"

namespace elbo {

/// What a layer's weight is made from.
enum class Parametrization {
  none,
  weight_norm,   // g v / |v| for each output unit: Salimans & Kingma 2016 (arXiv:1602.07868), eq. 2
  spectral_norm  // W / sigma(W), its largest singular value: Miyato et al. 2018 (arXiv:1802.05957), eq. 8
};
constexpr auto enum_names(Parametrization) {
  return std::array{std::pair{std::string_view("none"), Parametrization::none},
                    std::pair{std::string_view("weight_norm"), Parametrization::weight_norm},
                    std::pair{std::string_view("spectral_norm"), Parametrization::spectral_norm}};
}

/// Where weights start; always drawn from the stream `init`.
enum class WeightInit {
  pytorch,         // as Init::pytorch
  xavier_uniform,  // as Init::xavier_uniform
  he_normal,       // N(0, 2 / fan_in), biases zero: He et al. 2015 (arXiv:1502.01852), eq. 10
  dcgan            // N(0, 0.02^2), biases zero: Radford et al. 2016 (arXiv:1511.06434), section 4
};
constexpr auto enum_names(WeightInit) {
  return std::array{std::pair{std::string_view("pytorch"), WeightInit::pytorch},
                    std::pair{std::string_view("xavier_uniform"), WeightInit::xavier_uniform},
                    std::pair{std::string_view("he_normal"), WeightInit::he_normal},
                    std::pair{std::string_view("dcgan"), WeightInit::dcgan}};
}
WeightInit weight_init(Init init);

enum class LayerKind { linear, conv, transposed_conv };
enum class Bias { yes, no };

struct LayerOptions {
  LayerKind kind = LayerKind::linear;
  int64_t in = 0;
  int64_t out = 0;
  int64_t kernel = 1;
  int64_t stride = 1;
  int64_t padding = 0;
  Bias bias = Bias::yes;
  Parametrization parametrization = Parametrization::none;
  WeightInit init = WeightInit::pytorch;
};

/// A linear layer, a convolution or a transposed one whose weight may be normalised.
/// Parameters: weight and bias; of weight_norm bias, weight_g and weight_v; of spectral_norm bias and weight_orig, with the
/// buffers weight_u and weight_v: the names that torch.nn.utils.weight_norm and spectral_norm give. Both normalise over output
/// units, of a transposed convolution too (in PyTorch: dim=1). Differs: spectral_norm's power iteration runs once a step after
/// the optimiser, not in each forward pass, and 15 times at the start: a forward pass changes nothing, and each uses vectors that
/// belong to its weights, as in PyTorch.
class Layer final : public torch::nn::Module, public Stepped {
 public:
  Layer(const LayerOptions& options, Stream& init);
  /// Shapes: [N, in] -> [N, out]; [N, in, H, W] -> [N, out, H', W'].
  Tensor forward(const Tensor& x);
  /// The same and the activation, in one operation where there is one.
  Tensor forward(const Tensor& x, Activation activation);
  /// As it is used, normalised.
  Tensor weight();
  /// What is trained of it: with a parametrization the parameter that it is made from.
  const Tensor& trained_weight() const { return weight_; }
  /// Undefined where there is none.
  const Tensor& bias() const { return bias_; }
  void after_step(const Step& step) override;

 private:
  int64_t out_dim() const { return options_.kind == LayerKind::transposed_conv ? 1 : 0; }
  /// [out, everything else].
  Tensor as_matrix(const Tensor& weight) const;
  void power_iteration();

  LayerOptions options_;
  Tensor weight_;  // weight, weight_v or weight_orig
  Tensor length_;  // weight_g
  Tensor u_, v_;   // weight_u, weight_v
  Tensor bias_;
};

/// Registers modules below `parent` as NAME.0, NAME.1, …
template <class M>
void register_list(torch::nn::Module& parent, const std::string& name, const std::vector<std::shared_ptr<M>>& modules) {
  torch::nn::ModuleList list;
  for (const auto& module : modules) list->push_back(module);
  parent.register_module(name, list);
}

}  // namespace elbo
