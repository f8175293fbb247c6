#pragma once
#include <map>

#include "elbo/data/spec.h"
#include "elbo/models/abilities.h"

namespace elbo {

/// Classes that a sample is asked for, by field: row i gets the i-th, starting again after the last.
using GivenClasses = std::map<std::string, std::vector<int64_t>>;

/// The conditions for `count` samples: as given, and of the other conditions of the model all classes in turn.
/// Throws: UsageError for a field that is no condition of the model, or a class that the field does not have.
Batch conditions_for(const Samples& model, const DataSpec& spec, int64_t count, const GivenClasses& given = {},
                     at::Device device = at::kCPU);

/// How many columns a grid of such samples has, so that a column shows a class: the length of the longest cycle; 0, a
/// square, without conditions or where all samples share theirs.
int64_t condition_columns(const Samples& model, const DataSpec& spec, const GivenClasses& given = {});

}  // namespace elbo
