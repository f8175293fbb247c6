#include "gradients.h"

#include <torch/csrc/autograd/autograd.h>

#include <algorithm>

#include "elbo/base/error.h"

namespace elbo::detail {
namespace {

void check_rows(const Tensor& tensor, int64_t B, const std::string& what) {
  if (tensor.dim() == 1 && tensor.size(0) == B) return;
  throw ShapeError(what + ": got " + shape_text(tensor.sizes()) + ", expected " + shape_text({B}) + ", a value per example");
}

void check_route(const Route& route, const Phase& phase) {
  for (const auto& parameter : route.parameters) {
    const auto& owned = phase.parameters;
    if (std::any_of(owned.begin(), owned.end(), [&](const Tensor& t) { return t.is_same(parameter); })) continue;
    throw UsageError("phase '" + phase.name + "' routes a loss to a parameter that it doesn't own");
  }
}

/// What one loss gives to one list of parameters.
struct Gradient {
  std::vector<Tensor> parameters = {};
  std::vector<Tensor> values = {};  // undefined where a parameter isn't reached
};

Gradient gradient_of(const Tensor& loss, const std::vector<Tensor>& parameters) {
  constexpr bool kRetainGraph = true;  // routes share their graph
  constexpr bool kCreateGraph = false;
  constexpr bool kAllowUnused = true;
  return {parameters, torch::autograd::grad({loss}, parameters, {}, kRetainGraph, kCreateGraph, kAllowUnused)};
}

Tensor accumulate_routes(const LossTerms& terms, const Phase& phase, int64_t B) {
  std::vector<Gradient> gradients;
  Tensor total = torch::zeros({}, terms.routes.front().loss.options().requires_grad(false));
  for (const auto& route : terms.routes) {
    const auto loss = route.loss.sum() / B;
    gradients.push_back(gradient_of(loss, route.parameters));
    total = total + loss.detach();
  }
  if (terms.batch_loss.defined()) {
    gradients.push_back(gradient_of(terms.batch_loss, phase.parameters));
    total = total + terms.batch_loss.detach();
  }
  torch::NoGradGuard no_grad;
  for (auto& gradient : gradients) {
    for (size_t i = 0; i < gradient.parameters.size(); ++i) {
      if (gradient.values[i].defined()) gradient.parameters[i].mutable_grad().add_(gradient.values[i]);
    }
  }
  return total;
}

}  // namespace

void check_terms(const LossTerms& terms, const Phase& phase, int64_t B) {
  const auto where = "the loss of phase '" + phase.name + "'";
  if (terms.loss.defined() == !terms.routes.empty()) {
    throw UsageError(where + (terms.loss.defined() ? " has both a loss and routes" : " has neither a loss nor routes") +
                     "; exactly one of them is expected");
  }
  if (terms.loss.defined()) check_rows(terms.loss, B, where);
  for (const auto& route : terms.routes) {
    check_rows(route.loss, B, where + ", a route");
    check_route(route, phase);
  }
  if (terms.batch_loss.defined() && terms.batch_loss.dim() != 0) {
    throw ShapeError(where + ", batch_loss: got " + shape_text(terms.batch_loss.sizes()) + ", expected a 0-dim tensor");
  }
  for (const auto& term : terms.terms) {
    if (term.value.dim() != 0) check_rows(term.value, B, "term '" + term.name + "' of phase '" + phase.name + "'");
  }
}

Tensor accumulate_gradients(const LossTerms& terms, const Phase& phase, int64_t B) {
  if (!terms.routes.empty()) return accumulate_routes(terms, phase, B);
  auto total = terms.loss.sum() / B;
  if (terms.batch_loss.defined()) total = total + terms.batch_loss;
  constexpr bool kCreateGraph = false;
  torch::autograd::backward({total}, {}, std::nullopt, kCreateGraph, phase.parameters);  // into the flat gradients, nobody else's
  return total.detach();
}

LossTerms detached(const LossTerms& terms) {
  LossTerms values;
  if (terms.loss.defined()) values.loss = terms.loss.detach();
  if (terms.batch_loss.defined()) values.batch_loss = terms.batch_loss.detach();
  for (const auto& route : terms.routes) values.routes.push_back({route.loss.detach(), {}});
  for (const auto& term : terms.terms) values.terms.push_back({term.name, term.value.detach()});
  return values;
}

}  // namespace elbo::detail
