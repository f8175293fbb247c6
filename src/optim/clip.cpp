#include "elbo/optim/clip.h"

#include <torch/types.h>

namespace elbo {
namespace {
constexpr int64_t kRow = 1024;
}

Tensor global_norm(const std::vector<Tensor>& gradients) {
  std::vector<Tensor> partial;
  for (const auto& gradient : gradients) {
    const auto rows = gradient.numel() % kRow == 0 ? gradient.view({-1, kRow}) : gradient.view({1, -1});
    partial.push_back(at::linalg_vector_norm(rows, 2, at::IntArrayRef{1}));
  }
  return at::linalg_vector_norm(partial.size() == 1 ? partial.front() : at::cat(partial));
}

void clip_gradients(const std::vector<Tensor>& gradients, const Tensor& norm, double max_norm) {
  constexpr double kEpsilon = 1e-6;  // torch.nn.utils.clip_grad_norm_'s
  const auto factor = (max_norm / (norm + kEpsilon)).clamp_max(1);
  for (auto gradient : gradients) gradient.mul_(factor);
}

}  // namespace elbo
