#pragma once
#include <array>
#include <map>
#include <string>

#include "elbo/distributions/likelihood.h"

namespace elbo {

/// What a column of a table is distributed as.
enum class ColumnFamily { normal, student_t, laplace, categorical, poisson, negative_binomial };
constexpr auto enum_names(ColumnFamily) {
  using namespace std::string_view_literals;
  return std::array{
      std::pair{"normal"sv, ColumnFamily::normal},   std::pair{"student_t"sv, ColumnFamily::student_t},
      std::pair{"laplace"sv, ColumnFamily::laplace}, std::pair{"categorical"sv, ColumnFamily::categorical},
      std::pair{"poisson"sv, ColumnFamily::poisson}, std::pair{"negative_binomial"sv, ColumnFamily::negative_binomial}};
}

/// What columns of numbers, and of counts, are distributed as unless named.
enum class NumberFamily { normal, student_t, laplace };
constexpr auto enum_names(NumberFamily) {
  using namespace std::string_view_literals;
  return std::array{std::pair{"normal"sv, NumberFamily::normal}, std::pair{"student_t"sv, NumberFamily::student_t},
                    std::pair{"laplace"sv, NumberFamily::laplace}};
}
enum class CountFamily { poisson, negative_binomial };
constexpr auto enum_names(CountFamily) {
  using namespace std::string_view_literals;
  return std::array{std::pair{"poisson"sv, CountFamily::poisson},
                    std::pair{"negative_binomial"sv, CountFamily::negative_binomial}};
}

/// A table's columns, each with its own distribution; missing cells are left out by Distribution::log_prob(value, valid).
/// Source: the heterogeneous likelihood of Nazabal et al. 2020 (arXiv:1807.03653), without its ordinal columns.
/// Differs: scales (of numbers) and inverse dispersions (of negative binomial counts) are one learned parameter a column.
struct TableLikelihoodConfig {
  NumberFamily number = NumberFamily::normal;
  CountFamily count = CountFamily::poisson;
  std::map<std::string, ColumnFamily> columns = {};
  double scale = 1;
  double df = 4;

  template <class F>
  void fields(F& field) {
    field("number", number, "distribution of columns of numbers");
    field("count", count, "distribution of columns of counts");
    field("columns", columns, "distributions of single columns by name, e.g. {income: student_t}");
    field("scale", scale, "where the learned scale of each column of numbers starts, in standard deviations of the column",
          more_than(0));
    field("df", df, "degrees of freedom of student_t columns", more_than(1));
  }
};

/// Parameters: log_scale [columns of numbers], log_total_count [negative binomial columns].
std::shared_ptr<Likelihood> make_table_likelihood(const TableLikelihoodConfig& config, const LikelihoodContext& context);

}  // namespace elbo
