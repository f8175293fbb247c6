#include "elbo/evaluation/linear_classifier.h"

#include <torch/optim/lbfgs.h>

#include "elbo/base/error.h"
#include "elbo/distributions/categorical.h"

namespace elbo {

Tensor LinearClassifier::logits(const Tensor& inputs) const {
  const auto x = (inputs.detach().to(at::kCPU, at::kDouble) - centre) / scale;
  return torch::addmm(bias, x, weight.t());
}

Tensor LinearClassifier::predict(const Tensor& inputs) const { return logits(inputs).argmax(1); }

LinearClassifier fit_linear_classifier(const Tensor& inputs, const Tensor& labels, int64_t num_classes, double penalty) {
  if (inputs.size(0) < 1) throw UsageError("a linear classifier needs at least one row");
  constexpr double kSmallestDeviation = 1e-8;
  const auto x = inputs.detach().to(at::kCPU, at::kDouble);
  const auto y = labels.detach().to(at::kCPU);
  const auto deviation = x.std(0, /*unbiased=*/false);
  LinearClassifier fitted{.weight = torch::zeros({num_classes, x.size(1)}, torch::kDouble),
                          .bias = torch::zeros({num_classes}, torch::kDouble),
                          .centre = x.mean(0),
                          .scale = torch::where(deviation > kSmallestDeviation, deviation, 1.0)};
  const auto standard = (x - fitted.centre) / fitted.scale;
  const at::AutoGradMode gradients(true);
  fitted.weight.set_requires_grad(true);
  fitted.bias.set_requires_grad(true);
  torch::optim::LBFGS optimizer(std::vector<Tensor>{fitted.weight, fitted.bias}, torch::optim::LBFGSOptions(1)
                                                                                     .max_iter(500)
                                                                                     .max_eval(1000)
                                                                                     .tolerance_grad(1e-7)
                                                                                     .tolerance_change(1e-12)
                                                                                     .history_size(20)
                                                                                     .line_search_fn("strong_wolfe"));
  optimizer.step([&] {
    optimizer.zero_grad();
    const auto logits = torch::addmm(fitted.bias, standard, fitted.weight.t());
    const auto loss = -Categorical(logits, 0).log_prob(y).mean() + 0.5 * penalty * fitted.weight.square().sum();
    loss.backward();
    return loss;
  });
  fitted.weight = fitted.weight.detach();
  fitted.bias = fitted.bias.detach();
  return fitted;
}

}  // namespace elbo
