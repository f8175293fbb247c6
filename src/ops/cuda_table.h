#pragma once
#include "cuda_plugin/plugin.h"

namespace elbo::detail {

/// The plugin's functions, or nullptr where it isn't loaded. Loads nothing.
const cuda_plugin::Table* cuda_table();

}  // namespace elbo::detail
