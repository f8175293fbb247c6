#pragma once
#include <torch/nn/module.h>

#include <array>
#include <string_view>
#include <utility>

#include "elbo/math/shapes.h"

namespace elbo {

/// Where a likelihood of real numbers has its scale from.
enum class DecoderVariance {
  fixed,      // the number `scale`
  learned,    // one parameter, started at `scale`
  per_pixel,  // the decoder says one for each element, in units of `scale`
  optimal     // the best for each training batch; a running mean of these at evaluation
};
constexpr auto enum_names(DecoderVariance) {
  using namespace std::string_view_literals;
  return std::array{std::pair{"fixed"sv, DecoderVariance::fixed}, std::pair{"learned"sv, DecoderVariance::learned},
                    std::pair{"per_pixel"sv, DecoderVariance::per_pixel}, std::pair{"optimal"sv, DecoderVariance::optimal}};
}

/// What turns a decoder's output into a location in the data's range.
enum class MeanActivation { identity, sigmoid };
constexpr auto enum_names(MeanActivation) {
  using namespace std::string_view_literals;
  return std::array{std::pair{"identity"sv, MeanActivation::identity}, std::pair{"sigmoid"sv, MeanActivation::sigmoid}};
}

namespace detail {

/// log s kept above -6 with a gradient that never dies: -6 + softplus(x + 6).
/// Source: the softclip of Rybkin et al. 2021 (arXiv:2006.13202) in their code.
inline constexpr double kMinLogScale = -6;
Tensor bounded_log_scale(const Tensor& x);

/// A shape with `factor` times as many first elements; [] counts as [1].
Shape first_times(Shape shape, int64_t factor);

/// The two halves of a decoder's output along its first extent, each [batch..., event...].
struct Halves {
  Tensor first = {};
  Tensor second = {};
};
/// Shapes: [batch..., first_times(event, 2)...].
Halves halves_of(const Tensor& parameters, const Shape& event_shape);

/// Where the location is and how wide: what a decoder's output means to a likelihood of real numbers.
struct LocationAndScale {
  Tensor location = {};   // [batch..., event...]
  Tensor log_scale = {};  // the same, or 0-dim for one scale of all elements
};

/// Splits a decoder's output into location and scale, by a rule of DecoderVariance; `optimal` has the shapes of `fixed`.
class ScaleSource {
 public:
  /// Registers the parameter `log_scale` of `owner` where it is learned.
  ScaleSource(torch::nn::Module& owner, DecoderVariance variance, double scale, MeanActivation mean, Shape event_shape);

  /// The event's, with twice as many first elements where the decoder gives scales: [2C, H, W], [2D].
  Shape parameter_shape() const;
  LocationAndScale split(const Tensor& parameters) const;
  /// The bias of a decoder at which the location is this, the scale its start.
  Tensor bias_for_location(const Tensor& location) const;
  int64_t event_dims() const { return static_cast<int64_t>(event_shape_.size()); }

 private:
  DecoderVariance variance_;
  double log_start_;
  MeanActivation mean_;
  Shape event_shape_;
  Tensor log_scale_ = {};
};

}  // namespace detail

}  // namespace elbo
