#include "cross_entropy.h"

#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>

namespace elbo::detail {
namespace {

/// Calls f(from, count) for as many rows at a time as stay in a processor's caches.
template <class F>
void for_row_blocks(const Tensor& matrix, const F& f) {
  constexpr int64_t kNumbers = int64_t{1} << 19;
  const auto count = std::max<int64_t>(1, kNumbers / matrix.size(1));
  for (int64_t from = 0; from < matrix.size(0); from += count) f(from, std::min(count, matrix.size(0) - from));
}

class CodeLogProb : public torch::autograd::Function<CodeLogProb> {
 public:
  static Tensor forward(torch::autograd::AutogradContext* context, const Tensor& logits, const Tensor& codes) {
    const auto index = codes.unsqueeze(1);
    auto result = at::empty({logits.size(0), 1}, logits.options());
    for_row_blocks(logits, [&](int64_t from, int64_t count) {
      const auto block = at::log_softmax(logits.narrow(0, from, count), 1);
      result.narrow(0, from, count).copy_(block.gather(1, index.narrow(0, from, count)));
    });
    context->save_for_backward({logits, codes, logits.gather(1, index) - result});
    return result.squeeze(1);
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list outer) {
    const auto saved = context->get_saved_variables();
    const auto &logits = saved[0], &log_total = saved[2];
    const auto index = saved[1].unsqueeze(1), outside = outer[0].unsqueeze(1);
    auto gradient = at::empty_like(logits);
    for_row_blocks(logits, [&](int64_t from, int64_t count) {
      auto block = gradient.narrow(0, from, count);
      at::sub_out(block, logits.narrow(0, from, count), log_total.narrow(0, from, count));
      const auto g = outside.narrow(0, from, count);
      block.exp_().mul_(-g).scatter_add_(1, index.narrow(0, from, count), g);
    });
    return {gradient, Tensor()};
  }
};

}  // namespace

Tensor code_log_prob(const Tensor& logits, const Tensor& codes) { return CodeLogProb::apply(logits, codes); }

}  // namespace elbo::detail
