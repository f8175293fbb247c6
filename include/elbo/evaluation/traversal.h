#pragma once
#include <optional>
#include <vector>

#include "elbo/evaluation/active_units.h"
#include "elbo/io/png.h"
#include "elbo/models/abilities.h"

namespace elbo {

/// The units of a code by falling KL with the prior (by falling variance of means where the KL does not split), the active ones
/// alone if asked for. Empty where the panel's units aren't those of one code of `code_size` numbers.
enum class UnitChoice { active, all };
std::vector<int64_t> units_by_kl(const CollapsePanel& panel, int64_t code_size, UnitChoice choice);

/// `count` numbers from low to high, both among them.
std::vector<double> steps_between(double low, double high, int64_t count);

/// One row's code with one unit at a time set to each value, decoded under the row's own conditions.
/// Shapes: code [D], row with B = 1 -> [units, values, event...].
Tensor traverse(Decodes& model, const Tensor& code, const Batch& row, const std::vector<int64_t>& units,
                const std::vector<double>& values);

/// [rows, columns, C, H, W] as one grid; nothing where these are no pictures.
std::optional<Image> traversal_grid(const Tensor& pictures);

}  // namespace elbo
