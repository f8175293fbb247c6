#include "elbo/models/conditions.h"

#include <algorithm>
#include <numeric>

#include "elbo/base/error.h"
#include "elbo/base/text.h"

namespace elbo {
namespace {

/// One turn of each condition's classes.
GivenClasses cycles(const Samples& model, const DataSpec& spec, const GivenClasses& given) {
  const auto conditions = model.conditions();
  for (const auto& [name, classes] : given) {
    if (std::find(conditions.begin(), conditions.end(), name) != conditions.end()) continue;
    throw UsageError(text("--given ", name, ": this model's samples have ",
                          conditions.empty() ? "no conditions" : "the conditions " + join(conditions, ", ")));
  }
  GivenClasses all;
  for (const auto& name : conditions) {
    const auto field = spec.find(name);
    if (field == spec.end() || field->second.num_classes < 1) {
      throw UsageError(text("samples need the condition ", name, ", whose number of classes the data do not tell"));
    }
    const auto V = field->second.num_classes;
    auto& classes = all[name];
    if (const auto asked = given.find(name); asked != given.end()) classes = asked->second;
    if (classes.empty()) {
      classes.resize(static_cast<size_t>(V));
      std::iota(classes.begin(), classes.end(), 0);
    }
    for (const auto value : classes) {
      if (value < 0 || value >= V) throw UsageError(text("--given ", name, "=", value, ": expected a class from 0 to ", V - 1));
    }
  }
  return all;
}

}  // namespace

Batch conditions_for(const Samples& model, const DataSpec& spec, int64_t count, const GivenClasses& given, at::Device device) {
  auto batch = rows_without_fields(count);
  for (const auto& [name, classes] : cycles(model, spec, given)) {
    const auto turn = torch::tensor(classes, torch::kLong);
    batch.fields[name] = {.value = turn.index_select(0, batch.index.remainder(turn.size(0))).to(device)};
  }
  return batch;
}

int64_t condition_columns(const Samples& model, const DataSpec& spec, const GivenClasses& given) {
  int64_t longest = 0;
  for (const auto& [name, classes] : cycles(model, spec, given))
    longest = std::max(longest, static_cast<int64_t>(classes.size()));
  return longest > 1 ? longest : 0;
}

}  // namespace elbo
