#include <cctype>

#include "elbo/base/text.h"
#include "elbo/evaluation/evaluator.h"
#include "elbo/evaluation/table_csv.h"
#include "elbo/io/file.h"
#include "elbo/io/npy.h"
#include "elbo/math/tensors.h"

namespace elbo {

void write_per_example(const EvaluationResult& result, const std::filesystem::path& path) {
  const auto index = torch::arange(result.num_examples, at::kLong);
  std::vector<std::pair<std::string, Tensor>> columns;
  for (const auto& measured : result.measurements) {
    if (measured.per_example.defined()) columns.emplace_back(measured.key(), measured.per_example.contiguous());
  }
  auto ending = path.extension().string();
  for (auto& c : ending) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  if (ending == ".npz") {
    std::vector<std::pair<std::string, ArrayView>> arrays = {{"index", view_of(index)}};
    for (const auto& [name, values] : columns) arrays.emplace_back(name, view_of(values));
    write_npz(path, arrays);
  } else if (ending == ".csv") {
    std::string csv = "index";
    for (const auto& [name, values] : columns) csv += ',' + csv_cell(name);
    csv += '\n';
    for (int64_t row = 0; row < result.num_examples; ++row) {
      csv += std::to_string(row);
      for (const auto& [name, values] : columns) csv += ',' + shortest(values.const_data_ptr<double>()[row]);
      csv += '\n';
    }
    write_atomically(path, csv);
  } else {
    throw UsageError("can't write per-example values to " + path.string() + ": its name must end in .csv or .npz");
  }
}

}  // namespace elbo
