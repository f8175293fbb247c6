#include "elbo/models/field_input.h"

#include "elbo/base/error.h"

namespace elbo {

FieldInput::FieldInput(const FieldSpec& spec) : shape_(spec.shape) {
  if (spec.kind == ValueKind::table) {
    shape_ = {table_.emplace(spec.columns).size()};
  } else if (spec.kind == ValueKind::category) {
    if (spec.num_classes < 1) throw ConfigError("classes enter an encoder as indicators: their number must be known");
    num_classes_ = spec.num_classes;
    shape_ = joined({num_classes_}, spec.shape);
  }
}

Tensor FieldInput::operator()(const Field& field, at::ScalarType dtype) {
  const auto there = without_absent(field);
  if (table_) return (*table_)(there);
  if (num_classes_ == 0) return there.value;
  auto shape = there.value.sizes().vec();
  shape.insert(shape.begin() + 1, 1);
  auto classes = torch::arange(num_classes_, there.value.options());
  while (classes.dim() < there.value.dim()) classes = classes.unsqueeze(-1);
  const auto indicators = there.value.view(shape) == classes;
  if (!field.present.defined()) return indicators.to(dtype);
  // An absent class is no class, not the first one.
  auto present = field.present;
  while (present.dim() < indicators.dim()) present = present.unsqueeze(-1);
  return (indicators & present).to(dtype);
}

Field without_absent(const Field& field) {
  if (!field.present.defined()) return field;
  auto present = field.present;
  while (present.dim() < field.value.dim()) present = present.unsqueeze(-1);
  auto there = field;
  there.value = torch::where(present, field.value, torch::zeros({}, field.value.options()));
  return there;
}

}  // namespace elbo
