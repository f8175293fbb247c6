#pragma once
#include <string>
#include <vector>

#include "elbo/config/component.h"

namespace elbo {

/// A part of a config that isn't a component.
struct ConfigSection {
  std::string name = {};
  std::string about = {};
  std::vector<FieldDoc> fields = {};
};
/// config, evaluation, training.
const std::vector<ConfigSection>& config_sections();

/// docs/reference.md: every key, component and option.
std::string reference_markdown();

}  // namespace elbo
