#include "nested.h"

#include <utility>

#include "elbo/nn/layer.h"

namespace elbo::detail {

NestedQuantizers::NestedQuantizers(torch::nn::Module& parent, const QuantizerChoice& choice, int64_t parts, bool shared,
                                   std::string part_name, const QuantizerContext& context)
    : parts_(parts), part_name_(std::move(part_name)) {
  for (int64_t i = 0; i < (shared ? 1 : parts); ++i) own_.push_back(choice.make(context));
  register_list(parent, "quantizers", own_);
  space_ = own_[0]->code_space();
}

std::vector<Scheduled> NestedQuantizers::scheduled() const {
  std::vector<Scheduled> all;
  for (size_t i = 0; i < own_.size(); ++i) {
    for (const auto& number : own_[i]->scheduled()) {
      all.push_back(own_.size() == 1 ? number : number.named(prefix(static_cast<int64_t>(i)) + number.name()));
    }
  }
  return all;
}

std::vector<int64_t> NestedQuantizers::sizes() const {
  std::vector<int64_t> all;
  for (int64_t part = 0; part < parts_; ++part) all.insert(all.end(), space_.sizes.begin(), space_.sizes.end());
  return all;
}

Tensor NestedQuantizers::indices_of(const Tensor& indices, int64_t part) const {
  return indices.narrow(-1, part * space_.groups(), space_.groups());
}

Tensor NestedQuantizers::code_length(const Tensor& indices) const {
  auto total = of(0).code_length(indices_of(indices, 0));
  for (int64_t part = 1; part < indices.size(-1) / space_.groups(); ++part)
    total = total + of(part).code_length(indices_of(indices, part));
  return total;
}

}  // namespace elbo::detail
