#include "running_means.h"

#include <algorithm>

namespace elbo::detail {

namespace {

/// Sum in float64 of a value on the host, by a plain loop: a step's terms are many and small, and operations on each would cost more
/// than the mathematics of a small model.
double host_sum(const Tensor& value) {
  const auto wide = value.scalar_type() == torch::kFloat && value.is_contiguous() ? value : value.to(torch::kDouble).contiguous();
  double sum = 0;
  for (int64_t i = 0; i < wide.numel(); ++i) {
    sum += wide.scalar_type() == torch::kFloat ? static_cast<double>(wide.const_data_ptr<float>()[i])
                                               : wide.const_data_ptr<double>()[i];
  }
  return sum;
}

}  // namespace

int64_t RunningMeans::place_of(const std::vector<std::string>& names) {
  const auto found = std::search(names_.begin(), names_.end(), names.begin(), names.end());
  if (found != names_.end()) return found - names_.begin();
  const auto place = static_cast<int64_t>(names_.size());
  names_.insert(names_.end(), names.begin(), names.end());
  weights_.resize(names_.size(), 0);
  const auto more = torch::zeros({static_cast<int64_t>(names.size())}, torch::dtype(torch::kDouble).device(device_));
  sums_ = sums_.defined() ? torch::cat({sums_, more}) : more;
  left_out_ = left_out_.defined() ? torch::cat({left_out_, more}) : more.clone();
  return place;
}

void RunningMeans::add(const std::vector<Term>& terms, const std::string& prefix, int64_t B, const Tensor& skipped) {
  if (terms.empty()) return;
  std::vector<std::string> names;
  for (const auto& term : terms) names.push_back(prefix + term.name);
  const auto place = place_of(names);
  for (size_t i = 0; i < names.size(); ++i) weights_[static_cast<size_t>(place) + i] += static_cast<double>(B);
  if (device_.is_cpu()) {
    add_on_host(terms, place, B, skipped.defined() && skipped.item<double>() != 0);
    return;
  }
  std::vector<Tensor> values;
  for (const auto& term : terms) {
    const auto value = term.value.detach();
    values.push_back((value.dim() == 0 ? value : value.sum() / B).to(torch::kDouble));
  }
  auto stacked = torch::stack(values);
  if (skipped.defined()) {
    left_out_.narrow(0, place, static_cast<int64_t>(names.size())).add_(skipped, static_cast<double>(B));
    stacked = torch::where(skipped.ne(0), torch::zeros_like(stacked), stacked);
  }
  sums_.narrow(0, place, static_cast<int64_t>(names.size())).add_(stacked, static_cast<double>(B));
}

void RunningMeans::add_on_host(const std::vector<Term>& terms, int64_t place, int64_t B, bool skipped) {
  const auto weight = static_cast<double>(B);
  auto* sums = sums_.mutable_data_ptr<double>() + place;
  auto* left_out = left_out_.mutable_data_ptr<double>() + place;
  for (size_t i = 0; i < terms.size(); ++i) {
    if (skipped) {
      left_out[i] += weight;
    } else {
      sums[i] += host_sum(terms[i].value) * (terms[i].value.dim() == 0 ? weight : 1);
    }
  }
}

NamedValues RunningMeans::read() {
  NamedValues values;
  if (!sums_.defined()) return values;
  const auto sums = sums_.to(torch::kCPU), left_out = left_out_.to(torch::kCPU);
  for (size_t i = 0; i < names_.size(); ++i) {
    const auto is_same = [&](const NamedValue& value) { return value.name == names_[i]; };
    if (weights_[i] == 0 || std::any_of(values.begin(), values.end(), is_same)) continue;
    double sum = 0, weight = 0;  // a name may stand in several places when the terms of a phase change
    for (size_t j = i; j < names_.size(); ++j) {
      if (names_[j] != names_[i]) continue;
      sum += sums.data_ptr<double>()[j];
      weight += weights_[j] - left_out.data_ptr<double>()[j];
    }
    if (weight > 0) values.push_back({names_[i], sum / weight});
  }
  sums_.zero_();
  left_out_.zero_();
  std::fill(weights_.begin(), weights_.end(), 0);
  return values;
}

std::vector<NamedTensor> RunningMeans::tensors() const {
  std::vector<NamedTensor> tensors;
  for (size_t i = 0; i < names_.size(); ++i) {
    const auto sum = sums_[static_cast<int64_t>(i)].to(torch::kCPU);
    const auto weight = weights_[i] - left_out_[static_cast<int64_t>(i)].to(torch::kCPU);
    tensors.push_back({std::to_string(i) + "." + names_[i], torch::stack({sum, weight})});
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
  left_out_ = sums_.defined() ? torch::zeros_like(sums_) : Tensor();
}

}  // namespace elbo::detail
