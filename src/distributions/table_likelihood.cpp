#include "elbo/distributions/table_likelihood.h"

#include <algorithm>
#include <cmath>

#include "elbo/base/error.h"
#include "elbo/base/text.h"
#include "elbo/distributions/categorical.h"
#include "elbo/distributions/columns.h"
#include "elbo/distributions/count_likelihoods.h"
#include "elbo/distributions/laplace.h"
#include "elbo/distributions/negative_binomial.h"
#include "elbo/distributions/normal.h"
#include "elbo/distributions/poisson.h"
#include "elbo/distributions/scale_source.h"
#include "elbo/distributions/student_t.h"
#include "field_kinds.h"

namespace elbo {
namespace {

ColumnKind kind_of(ColumnFamily family) {
  switch (family) {
    case ColumnFamily::normal:
    case ColumnFamily::student_t:
    case ColumnFamily::laplace:
      return ColumnKind::number;
    case ColumnFamily::categorical:
      return ColumnKind::category;
    case ColumnFamily::poisson:
    case ColumnFamily::negative_binomial:
      return ColumnKind::count;
  }
  return ColumnKind::number;
}

template <class E>
std::string name_of(E value) {
  for (const auto& [name, each] : enum_names(value)) {
    if (each == value) return std::string(name);
  }
  return "";
}

/// The family of the same name.
template <class E>
ColumnFamily named_as(E family) {
  const auto wanted = name_of(family);
  for (const auto& [name, each] : enum_names(ColumnFamily{})) {
    if (name == wanted) return each;
  }
  return ColumnFamily::normal;
}

/// Columns that are distributed alike, with their places among the decoder's outputs and the learned numbers.
struct Group {
  ColumnFamily family = ColumnFamily::normal;
  int64_t num_classes = 1;  // outputs a column
  std::vector<int64_t> columns = {};
  int64_t first_output = 0;
  int64_t first_learned = 0;  // in log_scale or log_total_count
  Tensor places = {};

  int64_t size() const { return static_cast<int64_t>(columns.size()); }
};

ColumnFamily family_of(const Column& column, const TableLikelihoodConfig& config) {
  const auto chosen = config.columns.find(column.name);
  if (chosen == config.columns.end()) {
    switch (column.kind) {
      case ColumnKind::number:
        return named_as(config.number);
      case ColumnKind::count:
        return named_as(config.count);
      case ColumnKind::category:
        return ColumnFamily::categorical;
    }
  }
  if (kind_of(chosen->second) != column.kind) {
    throw ConfigError(text("likelihood 'table': column '", column.name, "' is a ", name_of(column.kind), ", which ",
                           name_of(chosen->second), " is not for"));
  }
  return chosen->second;
}

void check_names(const TableLikelihoodConfig& config, const std::vector<Column>& columns) {
  std::vector<std::string> names;
  for (const auto& column : columns) names.push_back(column.name);
  for (const auto& [name, family] : config.columns) {
    if (std::find(names.begin(), names.end(), name) != names.end()) continue;
    throw ConfigError(text("likelihood 'table': columns names '", name, "', which the table does not have",
                           did_you_mean(name, names, "it has " + join(names, ", "))));
  }
}

class TableLikelihood final : public Likelihood {
 public:
  TableLikelihood(const TableLikelihoodConfig& config, const std::vector<Column>& columns) : df_(config.df) {
    check_names(config, columns);
    for (size_t i = 0; i < columns.size(); ++i) add(columns[i], family_of(columns[i], config), static_cast<int64_t>(i));
    int64_t num_scales = 0, num_counts = 0;
    for (auto& group : groups_) {
      group.first_output = num_outputs_;
      num_outputs_ += group.size() * group.num_classes;
      auto& learned = group.family == ColumnFamily::negative_binomial ? num_counts : num_scales;
      group.first_learned = learned;
      if (kind_of(group.family) == ColumnKind::number || group.family == ColumnFamily::negative_binomial) learned += group.size();
      group.places = torch::tensor(group.columns, torch::kLong);
    }
    if (num_scales > 0) log_scale_ = register_parameter("log_scale", torch::full({num_scales}, std::log(config.scale)));
    if (num_counts > 0) log_count_ = register_parameter("log_total_count", torch::zeros({num_counts}));
  }

  Shape parameter_shape() const override { return {num_outputs_}; }

  DistributionPtr forward(const Tensor& parameters) override {
    std::vector<Columns::Part> parts;
    for (auto& group : groups_) {
      if (group.places.device() != parameters.device()) group.places = group.places.to(parameters.device());
      parts.push_back(
          {distribution(group, parameters.narrow(-1, group.first_output, group.size() * group.num_classes)), group.places});
    }
    return std::make_shared<Columns>(std::move(parts));
  }

  /// Numbers and counts start at their mean, classes alike.
  Tensor bias_for_mean(const Tensor& mean) const override {
    auto bias = torch::zeros({num_outputs_}, mean.options());
    for (const auto& group : groups_) {
      if (group.family == ColumnFamily::categorical) continue;
      const auto of_group = mean.index_select(0, group.places.to(mean.device()));
      bias.narrow(0, group.first_output, group.size())
          .copy_(kind_of(group.family) == ColumnKind::count ? detail::safe_log(of_group) : of_group);
    }
    return bias;
  }

 private:
  void add(const Column& column, ColumnFamily family, int64_t place) {
    const auto num_classes = family == ColumnFamily::categorical ? static_cast<int64_t>(column.classes.size()) : 1;
    if (num_classes < 1) throw ConfigError(text("likelihood 'table': column '", column.name, "' is a category without classes"));
    auto found = std::find_if(groups_.begin(), groups_.end(),
                              [&](const Group& group) { return group.family == family && group.num_classes == num_classes; });
    if (found == groups_.end()) found = groups_.insert(groups_.end(), Group{.family = family, .num_classes = num_classes});
    found->columns.push_back(place);
  }

  DistributionPtr distribution(const Group& group, const Tensor& output) const {
    const auto log_scale = [&] {
      return detail::bounded_log_scale(log_scale_.narrow(0, group.first_learned, group.size())).expand_as(output);
    };
    switch (group.family) {
      case ColumnFamily::normal:
        return std::make_shared<Normal>(output, 2 * log_scale());
      case ColumnFamily::laplace:
        return std::make_shared<Laplace>(output, log_scale());
      case ColumnFamily::student_t:
        return std::make_shared<StudentT>(torch::full({}, df_, output.options().requires_grad(false)), output, log_scale());
      case ColumnFamily::poisson:
        return std::make_shared<Poisson>(output);
      case ColumnFamily::negative_binomial: {
        const auto log_count = log_count_.narrow(0, group.first_learned, group.size()).expand_as(output);
        return NegativeBinomial::with_mean(output, detail::bounded_log_count(log_count));
      }
      case ColumnFamily::categorical:
        break;
    }
    return std::make_shared<Categorical>(output.unflatten(-1, {group.size(), group.num_classes}), 1);
  }

  double df_;
  int64_t num_outputs_ = 0;
  std::vector<Group> groups_ = {};
  Tensor log_scale_ = {}, log_count_ = {};
};

}  // namespace

std::shared_ptr<Likelihood> make_table_likelihood(const TableLikelihoodConfig& config, const LikelihoodContext& context) {
  if (context.field.kind != ValueKind::table) detail::throw_wrong_kind("table", "a table", context.field);
  return std::make_shared<TableLikelihood>(config, context.field.columns);
}

}  // namespace elbo
