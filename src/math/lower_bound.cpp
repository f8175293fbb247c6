#include "elbo/math/lower_bound.h"

#include <torch/csrc/autograd/custom_function.h>

namespace elbo {
namespace {

struct LowerBound : torch::autograd::Function<LowerBound> {
  static Tensor forward(torch::autograd::AutogradContext* context, const Tensor& x, double bound) {
    context->save_for_backward({x});
    context->saved_data["bound"] = bound;
    return x.clamp_min(bound);
  }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 const torch::autograd::variable_list& gradients) {
    const auto x = context->get_saved_variables()[0];
    const auto passes = x.ge(context->saved_data["bound"].toDouble()).logical_or(gradients[0].lt(0));
    return {gradients[0] * passes, Tensor()};
  }
};

}  // namespace

Tensor lower_bounded(const Tensor& x, double bound) { return LowerBound::apply(x, bound); }

}  // namespace elbo
