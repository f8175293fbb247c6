#pragma once
#include <vector>

#include "elbo/distributions/distribution.h"

namespace elbo {

/// The independent columns of a table, each group of them with a distribution of its own. Values are as a table codes them: one
/// number a column, a category as its class index.
class Columns final : public Distribution {
 public:
  /// Columns with one kind of distribution: event [columns.size()].
  struct Part {
    DistributionPtr distribution = nullptr;
    Tensor columns = {};  // [n] int64: their places in the table
  };
  /// Each of the columns 0 .. num_columns - 1 belongs to one part; all parts have one batch shape.
  explicit Columns(std::vector<Part> parts);

  /// Of a category the most probable class, since a mean of class indices says nothing.
  Tensor mean() const override;
  /// Of a category that of its class index.
  Tensor variance() const override;
  Tensor mode() const override;
  DistributionPtr detached() const override;
  std::string_view name() const override { return "columns"; }

  const std::vector<Part>& parts() const { return parts_; }
  /// Puts values of the parts' columns, [..., n] in the parts' order, in the table's order: [..., num_columns].
  Tensor in_table_order(const std::vector<Tensor>& of_parts) const;

 private:
  Tensor do_log_prob(const Tensor& value) const override;
  Tensor do_sample(at::IntArrayRef leading, Noise& noise) const override;
  Tensor do_log_prob_per_element(const Tensor& value) const override;
  Tensor do_entropy() const override;

  std::vector<Part> parts_;
  Tensor place_;  // of each column among the parts' columns
};

}  // namespace elbo
