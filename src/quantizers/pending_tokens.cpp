#include "elbo/quantizers/pending_tokens.h"

#include "elbo/ops/code_sums.h"
#include "elbo/quantizers/tokens.h"

namespace elbo {

void PendingTokens::add(const Tensor& z, const Tensor& indices, const Tensor& mask, const Step& step) {
  if (step.index != step_) take();
  step_ = step.index;
  tokens_.push_back(counted_rows(z.detach(), mask));
  indices_.push_back(counted_rows(indices, mask).squeeze(1));
}

PendingTokens::Rows PendingTokens::take() {
  Rows rows;
  if (tokens_.size() == 1) {
    rows = {tokens_[0], indices_[0]};
  } else if (tokens_.size() > 1) {
    rows = {torch::cat(tokens_), torch::cat(indices_)};
  }
  tokens_.clear();
  indices_.clear();
  return rows;
}

CodeStatistics code_statistics(const PendingTokens::Rows& rows, int64_t num_codes, Collective& collective) {
  const auto sums = code_sums(rows.tokens, rows.indices, num_codes);
  CodeStatistics statistics{sums.count.to(torch::kFloat), sums.sum.to(torch::kFloat)};
  collective.all_reduce_sum(statistics.count);
  collective.all_reduce_sum(statistics.sum);
  return statistics;
}

Tensor of_first_process(const Tensor& rows, Collective& collective) {
  if (collective.size() == 1) return rows;
  auto shared = collective.rank() == 0 ? rows.clone() : torch::zeros_like(rows);
  collective.all_reduce_sum(shared);
  return shared;
}

}  // namespace elbo
