#pragma once
#include <string_view>

#include "elbo/data/spec.h"

namespace elbo {

/// "binary", "unit", "real", "category", "table".
std::string_view kind_name(ValueKind kind);

}  // namespace elbo
