#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace elbo::detail {

/// A number about modalities, by the key it has in an evaluation: "log_likelihood(m1|m0)_nats", "coherence(m0,m1->m2)",
/// "reconstruction(m0)_nats".
struct SubsetNumber {
  std::string quantity = {};  // "log_likelihood_nats"
  std::string given = {};     // "m0,m1"; empty for numbers of one subset
  std::string of = {};        // "m2"
};
/// Nothing for the other keys.
std::optional<SubsetNumber> subset_number(std::string_view key);

/// Rows are subsets; columns are the quantities or, of a quantity given a subset, its targets. Cells without a number are empty.
struct SubsetTable {
  std::string quantity = {};  // of what is given, "log_likelihood_nats"; empty: quantities of subsets by themselves
  std::vector<std::string> columns = {};
  std::vector<std::pair<std::string, std::vector<std::string>>> rows = {};
};

/// Of all cells (key and text) that are about subsets, in their order; quantities of subsets by themselves come first.
std::vector<SubsetTable> subset_tables(const std::vector<std::pair<std::string, std::string>>& cells);

}  // namespace elbo::detail
