#include "elbo/evaluation/traversal.h"

#include <algorithm>

#include "elbo/base/error.h"
#include "elbo/base/text.h"
#include "elbo/evaluation/pictures.h"

namespace elbo {
namespace {

constexpr int64_t kRowsAtOnce = 512;

Batch repeated(const Batch& row, int64_t count) {
  const auto many = [&](const Tensor& value) {
    return value.defined() ? value.index_select(0, torch::zeros({count}, torch::dtype(at::kLong).device(value.device())))
                           : Tensor();
  };
  Batch batch{.fields = {}, .index = many(row.index)};
  for (const auto& [name, field] : row.fields) {
    batch.fields[name] = {.value = many(field.value), .present = many(field.present), .valid = many(field.valid)};
  }
  return batch;
}

}  // namespace

std::vector<int64_t> units_by_kl(const CollapsePanel& panel, int64_t code_size, UnitChoice choice) {
  if (panel.layers.size() != 1 || panel.layers[0].num_units() != code_size) return {};
  const auto& layer = panel.layers[0];
  const auto& values = layer.kl_per_unit.defined() ? layer.kl_per_unit : layer.variance_of_means;
  const auto order = std::get<1>(values.sort(/*stable=*/true, /*dim=*/0, /*descending=*/true));
  std::vector<int64_t> units;
  for (int64_t i = 0; i < code_size; ++i) {
    const auto unit = order[i].item<int64_t>();
    if (choice == UnitChoice::all || layer.variance_of_means[unit].item<double>() > kActiveUnitThreshold) units.push_back(unit);
  }
  return units;
}

std::vector<double> steps_between(double low, double high, int64_t count) {
  if (count < 2) throw UsageError(text("a traversal needs at least 2 steps, got ", count));
  std::vector<double> values;
  for (int64_t i = 0; i < count; ++i) {
    const double share = static_cast<double>(i) / static_cast<double>(count - 1);
    values.push_back(low * (1 - share) + high * share);
  }
  return values;
}

Tensor traverse(Decodes& model, const Tensor& code, const Batch& row, const std::vector<int64_t>& units,
                const std::vector<double>& values) {
  const torch::NoGradGuard no_grad;
  const auto D = model.code_size();
  check_shape(code, {D}, "the code of a traversal");
  if (row.size() != 1) throw UsageError(text("a traversal starts from one row, got ", row.size()));
  if (units.empty() || values.empty()) throw UsageError("a traversal needs units and values");
  for (const auto unit : units) {
    if (unit < 0 || unit >= D) throw UsageError(text("unit ", unit, ": the code has units 0 to ", D - 1));
  }
  const auto num_units = static_cast<int64_t>(units.size()), num_values = static_cast<int64_t>(values.size());
  const auto total = num_units * num_values;
  auto codes = code.expand({num_units, num_values, D}).clone();
  const auto line = torch::tensor(values, torch::kDouble).to(code.device(), code.scalar_type());
  for (int64_t u = 0; u < num_units; ++u) codes[u].select(1, units[static_cast<size_t>(u)]).copy_(line);
  codes = codes.view({total, D});
  std::vector<Tensor> parts;
  for (int64_t first = 0; first < total; first += kRowsAtOnce) {
    const auto count = std::min(kRowsAtOnce, total - first);
    parts.push_back(model.decode_code(codes.narrow(0, first, count), repeated(row, count)).cpu());
  }
  return torch::cat(parts).unflatten(0, {num_units, num_values});
}

std::optional<Image> traversal_grid(const Tensor& pictures) {
  if (pictures.dim() != 5) return std::nullopt;
  return sample_grid(pictures.flatten(0, 1), static_cast<int>(pictures.size(1)));
}

}  // namespace elbo
