#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "elbo/config/node.h"

namespace elbo {

/// Applies one `--set a.b=c`: the value is YAML (`[1, 2]`, `{type: iwae}`), missing maps on the way are created, items of a list
/// are named by their number from 0. What it sets is marked `--set a.b=c`, so that the reader's errors name it. Later ones win.
/// Throws: ConfigError when the text isn't `key=value` or the way leads through a scalar.
void apply_override(Node& root, std::string_view assignment, int64_t position = 1);

void apply_overrides(Node& root, std::span<const std::string> assignments);

}  // namespace elbo
