#include "elbo/nn/layer.h"

#include <cmath>

#include "elbo/base/error.h"
#include "elbo/ops/linear.h"

namespace elbo {
namespace {

/// As torch.nn.functional.normalize does.
Tensor unit(const Tensor& vector) { return vector / vector.norm().clamp_min(1e-12); }

/// Pixel by pixel, the layout in which oneDNN convolves fastest; what follows a convolution comes in it already.
Tensor by_pixels(const Tensor& x) {
  return x.is_cpu() && x.scalar_type() == at::kFloat && x.dim() == 4 ? x.contiguous(at::MemoryFormat::ChannelsLast) : x;
}

Shape weight_shape(const LayerOptions& options) {
  if (options.kind == LayerKind::linear) return {options.out, options.in};
  if (options.kind == LayerKind::conv) return {options.out, options.in, options.kernel, options.kernel};
  return {options.in, options.out, options.kernel, options.kernel};
}

void init_normal(Tensor& weight, Tensor& bias, double scale, Stream& stream) {
  const torch::NoGradGuard no_grad;
  weight.copy_(stream.normal(weight.sizes(), {}) * scale);
  if (bias.defined()) bias.zero_();
}

void initialise(Tensor& weight, Tensor& bias, WeightInit init, Stream& stream) {
  switch (init) {
    case WeightInit::pytorch:
      return init_weight(weight, bias, Init::pytorch, stream);
    case WeightInit::xavier_uniform:
      return init_weight(weight, bias, Init::xavier_uniform, stream);
    case WeightInit::he_normal:
      return init_normal(weight, bias, std::sqrt(2 / static_cast<double>(weight[0].numel())), stream);
    case WeightInit::dcgan:
      return init_normal(weight, bias, 0.02, stream);
  }
}

}  // namespace

WeightInit weight_init(Init init) { return init == Init::pytorch ? WeightInit::pytorch : WeightInit::xavier_uniform; }

Layer::Layer(const LayerOptions& options, Stream& init) : options_(options) {
  const auto shape = weight_shape(options);
  double elements = 1;
  for (const int64_t extent : shape) elements *= static_cast<double>(extent);
  check_num_parameters(elements, "a layer of " + std::to_string(options.in) + " to " + std::to_string(options.out));
  auto weight = torch::empty(shape);
  if (options.parametrization == Parametrization::none) weight_ = register_parameter("weight", weight);
  if (options.bias == Bias::yes) bias_ = register_parameter("bias", torch::empty({options.out}));
  initialise(weight, bias_, options.init, init);
  if (options.parametrization == Parametrization::weight_norm) {
    length_ = register_parameter("weight_g", torch::norm_except_dim(weight, 2, out_dim()));
    weight_ = register_parameter("weight_v", weight);
  } else if (options.parametrization == Parametrization::spectral_norm) {
    constexpr int64_t kFirstIterations = 15;
    weight_ = register_parameter("weight_orig", weight);
    const auto matrix = as_matrix(weight);
    u_ = register_buffer("weight_u", unit(init.normal({matrix.size(0)}, {})));
    v_ = register_buffer("weight_v", unit(init.normal({matrix.size(1)}, {})));
    for (int64_t i = 0; i < kFirstIterations; ++i) power_iteration();
  }
}

Tensor Layer::as_matrix(const Tensor& weight) const { return weight.transpose(0, out_dim()).flatten(1); }

void Layer::power_iteration() {
  const torch::NoGradGuard no_grad;
  const auto matrix = as_matrix(weight_);
  v_.copy_(unit(torch::mv(matrix.t(), u_)));
  u_.copy_(unit(torch::mv(matrix, v_)));
}

Tensor Layer::weight() {
  if (options_.parametrization == Parametrization::none) return weight_;
  if (options_.parametrization == Parametrization::weight_norm) return torch::_weight_norm(weight_, length_, out_dim());
  // Not by mv: autocast would round sigma.
  const auto sigma = ((as_matrix(weight_) * v_).sum(1) * u_).sum();
  return weight_ / sigma;
}

Tensor Layer::forward(const Tensor& x) {
  const auto stride = options_.stride, padding = options_.padding;
  switch (options_.kind) {
    case LayerKind::linear:
      return linear(x, weight(), bias_);
    case LayerKind::conv:
      return torch::conv2d(by_pixels(x), weight(), bias_, stride, padding);
    case LayerKind::transposed_conv:
      return torch::conv_transpose2d(by_pixels(x), weight(), bias_, stride, padding);
  }
  throw UsageError("layer kind " + std::to_string(static_cast<int>(options_.kind)) + " does not exist");
}

Tensor Layer::forward(const Tensor& x, Activation activation) {
  const bool fused = activation == Activation::relu || activation == Activation::tanh;
  if (options_.kind != LayerKind::linear || !fused) return activate(forward(x), activation);
  return linear(x, weight(), bias_, activation == Activation::relu ? Follow::relu : Follow::tanh);
}

void Layer::after_step(const Step&) {
  if (options_.parametrization == Parametrization::spectral_norm) power_iteration();
}

}  // namespace elbo
