#pragma once
#include <memory>
#include <vector>

#include "elbo/math/shapes.h"

namespace elbo {

class Bijector;
using BijectorPtr = std::shared_ptr<const Bijector>;

/// A differentiable, strictly monotone function of each element by itself.
class Bijector {
 public:
  virtual ~Bijector() = default;
  virtual Tensor forward(const Tensor& x) const = 0;
  /// Of values in the image of forward(); values that rounding has put on its edge give a finite result.
  virtual Tensor inverse(const Tensor& y) const = 0;
  /// log |d forward / d x| at x. Shapes: broadcasts against x.
  virtual Tensor log_abs_det_jacobian(const Tensor& x) const = 0;
  /// Whether the slope is the same everywhere, so that means and variances pass through.
  virtual bool is_affine() const { return false; }
  /// The same function with its parameters cut off from the graph.
  virtual BijectorPtr detached() const = 0;
  virtual std::string_view name() const = 0;
};

/// shift + exp(log_scale) x. Shapes: both broadcast against x.
BijectorPtr affine_bijector(Tensor shift, Tensor log_scale);
/// e^x, onto (0, inf).
BijectorPtr exp_bijector();
/// 1 / (1 + e^-x), onto (0, 1).
BijectorPtr sigmoid_bijector();
/// log(1 + e^x), onto (0, inf), close to x for large x.
BijectorPtr softplus_bijector();
/// tanh x, onto (-1, 1).
BijectorPtr tanh_bijector();
/// One after the other, the first of the list first.
BijectorPtr composed_bijector(std::vector<BijectorPtr> bijectors);

}  // namespace elbo
