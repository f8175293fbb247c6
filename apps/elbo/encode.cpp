#include <iostream>

#include "command.h"
#include "elbo/base/error.h"
#include "elbo/base/text.h"
#include "elbo/data/loader.h"
#include "elbo/distributions/normal.h"
#include "elbo/evaluation/granule_noise.h"
#include "elbo/io/npy.h"
#include "elbo/math/tensors.h"
#include "elbo/models/abilities.h"
#include "elbo/training/evaluation_mode.h"
#include "output.h"

namespace elbo {
namespace {

/// Columns of the output, each allocated once for all rows: memory is that of the result, whatever the size of the data.
class Columns {
 public:
  explicit Columns(int64_t num_rows) : num_rows_(num_rows) {}

  /// Shapes: values [B, ...], for rows first, first + 1, ….
  void put(const std::string& name, const Tensor& values, int64_t first) {
    auto found = std::find_if(columns_.begin(), columns_.end(), [&](const auto& column) { return column.first == name; });
    if (found == columns_.end()) {
      auto shape = values.sizes().vec();
      shape[0] = num_rows_;
      columns_.emplace_back(name, torch::empty(shape, values.scalar_type()));
      found = columns_.end() - 1;
    }
    found->second.narrow(0, first, values.size(0)).copy_(values);
  }

  std::vector<std::pair<std::string, ArrayView>> views() const {
    std::vector<std::pair<std::string, ArrayView>> all;
    for (const auto& [name, values] : columns_) all.emplace_back(name, view_of(values));
    return all;
  }
  std::string names() const {
    std::vector<std::string> all;
    for (const auto& [name, values] : columns_) all.push_back(name);
    return join(all, ", ");
  }

 private:
  int64_t num_rows_;
  std::vector<std::pair<std::string, Tensor>> columns_ = {};
};

/// What a variational model of one layer knows beyond the mean.
void put_posterior(Columns& columns, Variational& model, const Batch& batch, int64_t first, PlacedNoise& noise) {
  noise.place(first, 0);
  const auto latents = model.infer(batch, 1, noise);
  if (latents.layers.size() != 1 || latents.layers[0].z.dim() != 3) return;
  const auto& layer = latents.layers[0];
  if (const auto* normal = dynamic_cast<const Normal*>(layer.q.get())) {
    columns.put("log_var", normal->log_var().expand_as(normal->mean()), first);
  }
  columns.put("z", layer.z[0], first);
}

/// Arrays `codes` int64 [N, ..., G], or of several levels codes_NAME.
void put_codes(Columns& columns, Quantized& model, const Batch& batch, int64_t first) {
  const auto levels = model.codes(batch);
  for (size_t i = 0; i < levels.size(); ++i) {
    columns.put(levels.size() > 1 ? "codes_" + std::to_string(i) : "codes", levels[i], first);
  }
}

}  // namespace

int run_encode(const std::vector<std::string>& words) {
  CommandLine line(
      "encode",
      "Writes the code of every row of a split: arrays mean (of a quantized model codes, integers), index, label where there is "
      "one, and of a variational model log_var and one draw z.",
      "RUN", {"elbo encode RUN --out z.npz", "elbo encode RUN --split train --limit 1000 --out z.npz"});
  line.add()("out", "an .npz", cxxopts::value<std::string>()->default_value("z.npz"));
  line.add()("split", "train, valid or test", cxxopts::value<std::string>()->default_value("test"));
  line.add()("limit", "only the first N rows of the split; 0 for all", cxxopts::value<int64_t>()->default_value("0"));
  line.add()("batch-size", "rows at once; changes no number beyond rounding", cxxopts::value<int64_t>()->default_value("256"));
  line.add()("seed", "seed of the draws z", cxxopts::value<int64_t>()->default_value("0"));
  line.add_runtime();
  if (!line.parse(words, 1, 1)) return 0;
  const auto out = line.get<std::string>("out");
  if (ending(out) != ".npz") {
    throw UsageError("--out: got " + in_quotes(out) + ", expected a name that ends in .npz");
  }
  check_output_folder("out", out);
  const auto split = split_named(line.get<std::string>("split"));
  const auto limit = line.integer("limit", 0, int64_t{1} << 40);
  const auto batch_size = line.integer("batch-size", 1, int64_t{1} << 20);
  const auto seed = line.integer("seed", 0, 4294967295);

  const auto opened = open_run(line.positional()[0], line.runtime(), DataUse::load);
  auto& model = *opened.experiment.model;
  auto* quantized = dynamic_cast<Quantized*>(&model);
  auto* encodes = quantized ? nullptr : &able_to<Encodes>(model, "encode");
  auto* variational = dynamic_cast<Variational*>(&model);
  const EvaluationMode mode({&model});
  GranuleNoise noise(static_cast<uint64_t>(seed), opened.experiment.runtime.device);
  const SequentialLoader loader(opened.experiment.dataset, split, batch_size, limit);
  Columns columns(loader.num_examples());
  int64_t first = 0;
  for (int64_t i = 0; i < loader.num_batches(); ++i) {
    const auto batch = loader.at(i);
    if (quantized) put_codes(columns, *quantized, batch, first);
    if (encodes) columns.put("mean", encodes->encode(batch), first);
    if (variational) put_posterior(columns, *variational, batch, first, noise);
    columns.put("index", batch.index, first);
    if (batch.has("label")) columns.put("label", batch.at("label"), first);
    first += batch.size();
  }
  write_npz(out, columns.views());
  std::cerr << count_of(loader.num_examples(), "code") << " in " << out << ": " << columns.names() << "\n";
  return 0;
}

}  // namespace elbo
