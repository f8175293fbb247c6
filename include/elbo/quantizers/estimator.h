#pragma once
#include <array>
#include <string_view>
#include <utility>

#include "elbo/math/shapes.h"

namespace elbo {

/// How the decoder's gradient passes a nearest-code layer.
enum class GradientEstimator {
  straight_through,  // unchanged: van den Oord et al. 2017 (arXiv:1711.00937), section 3.2
  rotation,          // rotated and scaled as the token was to become the code: Fifty et al. 2025 (arXiv:2410.06424), section 4
  none               // not at all
};
constexpr auto enum_names(GradientEstimator) {
  return std::array{std::pair{std::string_view("straight_through"), GradientEstimator::straight_through},
                    std::pair{std::string_view("rotation"), GradientEstimator::rotation},
                    std::pair{std::string_view("none"), GradientEstimator::none}};
}

/// The code's bits, with a gradient to z alone. Shapes: z and code [..., D] alike.
/// Gradient of `rotation`: lambda R^T g with R = I - 2 w w^T + 2 q^ e^^T and lambda = |q| / |e| (at most 1,000), all constants;
/// in one pass over the tokens, nothing of [N, D, D].
Tensor pass_gradient(const Tensor& z, const Tensor& code, GradientEstimator estimator);

/// What to watch of the rotation: a mean near 0 leaves the encoder to the commitment term, clamped tokens are nearly zero.
struct RotationScales {
  Tensor mean = {};     // of lambda, 0-dim
  Tensor clamped = {};  // the share of tokens whose lambda was cut at 1,000, 0-dim
};
RotationScales rotation_scales(const Tensor& z, const Tensor& code);

}  // namespace elbo
