#include "elbo/models/abilities.h"

namespace elbo {

Batch rows_without_fields(int64_t count) { return {.fields = {}, .index = torch::arange(count)}; }

Batch blank_rows(const DataSpec& spec, int64_t count, at::Device device) {
  auto rows = rows_without_fields(count);
  for (const auto& [name, field] : spec) {
    const auto type = field.kind == ValueKind::category ? at::kLong : at::kFloat;
    rows.fields[name] = {.value = torch::zeros(joined({count}, field.shape), torch::dtype(type).device(device))};
  }
  return rows;
}

}  // namespace elbo
