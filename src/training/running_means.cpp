#include "running_means.h"

#include <algorithm>

namespace elbo::detail {

int64_t RunningMeans::place_of(const std::vector<std::string>& names) {
  const auto found = std::search(names_.begin(), names_.end(), names.begin(), names.end());
  if (found != names_.end()) return found - names_.begin();
  const auto place = static_cast<int64_t>(names_.size());
  names_.insert(names_.end(), names.begin(), names.end());
  weights_.resize(names_.size(), 0);
  const auto more = torch::zeros({static_cast<int64_t>(names.size())}, torch::dtype(torch::kDouble).device(device_));
  sums_ = sums_.defined() ? torch::cat({sums_, more}) : more;
  return place;
}

void RunningMeans::add(const std::vector<Term>& terms, const std::string& prefix, int64_t B) {
  if (terms.empty()) return;
  std::vector<std::string> names;
  std::vector<Tensor> values;
  for (const auto& term : terms) {
    names.push_back(prefix + term.name);
    const auto value = term.value.detach();
    values.push_back((value.dim() == 0 ? value : value.sum() / B).to(torch::kDouble));
  }
  const auto place = place_of(names);
  sums_.narrow(0, place, static_cast<int64_t>(names.size())).add_(torch::stack(values), static_cast<double>(B));
  for (size_t i = 0; i < names.size(); ++i) weights_[static_cast<size_t>(place) + i] += static_cast<double>(B);
}

NamedValues RunningMeans::read() {
  NamedValues values;
  if (!sums_.defined()) return values;
  const auto sums = sums_.to(torch::kCPU);
  for (size_t i = 0; i < names_.size(); ++i) {
    const auto is_same = [&](const NamedValue& value) { return value.name == names_[i]; };
    if (weights_[i] == 0 || std::any_of(values.begin(), values.end(), is_same)) continue;
    double sum = 0, weight = 0;  // a name may stand in several places when the terms of a phase change
    for (size_t j = i; j < names_.size(); ++j) {
      if (names_[j] != names_[i]) continue;
      sum += sums.data_ptr<double>()[j];
      weight += weights_[j];
    }
    values.push_back({names_[i], sum / weight});
  }
  sums_.zero_();
  std::fill(weights_.begin(), weights_.end(), 0);
  return values;
}

std::vector<NamedTensor> RunningMeans::tensors() const {
  std::vector<NamedTensor> tensors;
  for (size_t i = 0; i < names_.size(); ++i) {
    const auto sum = sums_[static_cast<int64_t>(i)].to(torch::kCPU);
    tensors.push_back({std::to_string(i) + "." + names_[i], torch::stack({sum, torch::full({}, weights_[i], torch::kDouble)})});
  }
  return tensors;
}

void RunningMeans::restore(const std::vector<NamedTensor>& tensors) {
  names_.clear();
  weights_.clear();
  std::vector<Tensor> sums;
  for (const auto& [name, tensor] : tensors) {
    names_.push_back(name.substr(name.find('.') + 1));
    weights_.push_back(tensor[1].item<double>());
    sums.push_back(tensor[0]);
  }
  sums_ = sums.empty() ? Tensor() : torch::stack(sums).to(device_);
}

}  // namespace elbo::detail
