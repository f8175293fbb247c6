#pragma once
#include <string>
#include <vector>

#include "elbo/data/spec.h"

namespace elbo {

/// A table as CSV in the units of the file it was read from: a header, numbers with their mean and scale put back, the names of
/// classes. Shapes: rows [N, num_columns], every cell there. Throws: DataError for a cell that is no class of its column.
std::string table_csv(const std::vector<Column>& columns, const Tensor& rows);

/// In double quotes where RFC 4180 asks for them.
std::string csv_cell(const std::string& words);

}  // namespace elbo
