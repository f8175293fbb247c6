#pragma once
#include <string>
#include <string_view>

#include "elbo/aggregators/subsets.h"

namespace elbo {

/// "m0,m1"
std::string subset_name(const Subset& subset);

/// all, singles, full, or subsets with ; between them and , between the modalities of one: "image;image,label". Which modalities
/// there are is asked by subsets_of(). Throws: UsageError.
SubsetChoice subsets_named(std::string_view word);

}  // namespace elbo
