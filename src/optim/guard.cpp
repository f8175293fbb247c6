#include "elbo/optim/guard.h"

#include <torch/types.h>

namespace elbo {

void detail::masked_update(const Tensor& found_inf, const std::vector<Tensor>& changed, const std::function<void()>& update) {
  std::vector<Tensor> before;
  for (const auto& tensor : changed) before.push_back(tensor.clone());
  update();
  const auto skip = found_inf.ne(0);
  for (size_t i = 0; i < changed.size(); ++i) changed[i].copy_(torch::where(skip, before[i], changed[i]));
}

void guarded_update(const Tensor& found_inf, const std::vector<Tensor>& changed, const std::function<void()>& update) {
  if (!found_inf.device().is_cpu()) {
    detail::masked_update(found_inf, changed, update);
  } else if (found_inf.item<float>() == 0) {
    update();
  }
}

}  // namespace elbo
