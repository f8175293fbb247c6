#pragma once
#include <string_view>

#include "elbo/data/spec.h"

namespace elbo::detail {

/// "likelihood 'laplace': the data are class indices, which have no density; use likelihood 'categorical'": for densities of real
/// numbers, which binary and unit fields may have too. Throws: ConfigError.
void refuse_unless_numbers(std::string_view likelihood, const FieldSpec& field);

/// "likelihood 'poisson': needs counts (whole numbers from 0), got classes; use likelihood 'categorical'": always thrown.
[[noreturn]] void throw_wrong_kind(std::string_view likelihood, std::string_view needed, const FieldSpec& field);

}  // namespace elbo::detail
