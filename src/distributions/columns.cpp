#include "elbo/distributions/columns.h"

#include "elbo/base/error.h"

namespace elbo {
namespace {

Shape event_of(const std::vector<Columns::Part>& parts) {
  if (parts.empty()) throw UsageError("columns: a table has at least one");
  int64_t num_columns = 0;
  for (const auto& part : parts) {
    check_shape(part.columns, part.distribution->event_shape(), "columns: places");
    if (part.distribution->batch_shape() != parts.front().distribution->batch_shape()) {
      throw ShapeError("columns: got batches " + shape_text(parts.front().distribution->batch_shape()) + " and " +
                       shape_text(part.distribution->batch_shape()));
    }
    num_columns += part.columns.numel();
  }
  return {num_columns};
}

Tensor places_in(const std::vector<Columns::Part>& parts) {
  std::vector<Tensor> columns;
  for (const auto& part : parts) columns.push_back(part.columns);
  return torch::cat(columns).argsort();
}

}  // namespace

Columns::Columns(std::vector<Part> parts)
    : Distribution(parts.empty() ? Shape{} : parts.front().distribution->batch_shape(), event_of(parts)),
      parts_(std::move(parts)),
      place_(places_in(parts_)) {}

Tensor Columns::in_table_order(const std::vector<Tensor>& of_parts) const {
  std::vector<Tensor> numbers;
  const auto type = [&] {
    for (const auto& t : of_parts) {
      if (t.is_floating_point()) return t.scalar_type();
    }
    return torch::kFloat;  // of categories alone
  }();
  for (const auto& t : of_parts) numbers.push_back(t.to(type));
  return torch::cat(numbers, -1).index_select(-1, place_);
}

namespace {
template <class F>
std::vector<Tensor> of_each(const std::vector<Columns::Part>& parts, const F& f) {
  std::vector<Tensor> values;
  for (const auto& part : parts) values.push_back(f(part));
  return values;
}
bool is_category(const Columns::Part& part) { return part.distribution->name() == "categorical"; }
}  // namespace

Tensor Columns::mean() const {
  return in_table_order(of_each(
      parts_, [](const Part& part) { return is_category(part) ? part.distribution->mode() : part.distribution->mean(); }));
}

Tensor Columns::variance() const {
  return in_table_order(of_each(parts_, [](const Part& part) { return part.distribution->variance(); }));
}

Tensor Columns::mode() const {
  return in_table_order(of_each(parts_, [](const Part& part) { return part.distribution->mode(); }));
}

DistributionPtr Columns::detached() const {
  auto parts = parts_;
  for (auto& part : parts) part.distribution = part.distribution->detached();
  return std::make_shared<Columns>(std::move(parts));
}

Tensor Columns::do_log_prob(const Tensor& value) const {
  Tensor total;
  for (const auto& part : parts_) {
    const auto log_prob = part.distribution->log_prob(value.index_select(-1, part.columns));
    total = total.defined() ? total + log_prob : log_prob;
  }
  return total;
}

Tensor Columns::do_log_prob_per_element(const Tensor& value) const {
  return in_table_order(of_each(
      parts_, [&](const Part& part) { return part.distribution->log_prob_per_element(value.index_select(-1, part.columns)); }));
}

Tensor Columns::do_sample(at::IntArrayRef leading, Noise& noise) const {
  return in_table_order(of_each(parts_, [&](const Part& part) { return part.distribution->sample(leading, noise); }));
}

Tensor Columns::do_entropy() const {
  Tensor total;
  for (const auto& part : parts_) {
    total = total.defined() ? total + part.distribution->entropy() : part.distribution->entropy();
  }
  return total;
}

}  // namespace elbo
