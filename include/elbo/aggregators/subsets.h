#pragma once
#include <array>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "elbo/aggregators/aggregator.h"

namespace elbo {

/// Families of subsets by a word.
enum class Subsets { all, singles, full };
constexpr auto enum_names(Subsets) {
  using namespace std::string_view_literals;
  return std::array{std::pair{"all"sv, Subsets::all}, std::pair{"singles"sv, Subsets::singles},
                    std::pair{"full"sv, Subsets::full}};
}

/// Subsets of modalities: a family, or listed.
using SubsetChoice = std::variant<Subsets, std::vector<Subset>>;

/// Of these modalities, each subset in their order; families have small subsets first, a list its own order. Throws: UsageError
/// for `all` of more than 10 modalities, or a list that is empty, repeats or names what is no modality.
std::vector<Subset> subsets_of(const SubsetChoice& choice, const Subset& modalities);

}  // namespace elbo
