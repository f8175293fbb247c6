#include "modalities.h"

#include <iostream>

#include "command.h"
#include "elbo/base/error.h"
#include "elbo/base/text.h"
#include "elbo/data/loader.h"
#include "elbo/evaluation/granule_noise.h"
#include "elbo/evaluation/subsets.h"
#include "elbo/io/npy.h"
#include "elbo/math/tensors.h"

namespace elbo {
namespace {

constexpr int64_t kRowsAtOnce = 256;

bool is_png(const std::string& out) {
  if (ending(out) == ".csv") throw UsageError("--out: this model has several modalities, no table; write them to an .npz");
  return ending(out) == ".png";
}

/// Parts of the same names, joined along the rows.
class Parts {
 public:
  void add(const std::string& name, const Tensor& rows) { parts_[name].push_back(rows.cpu()); }
  ModalityValues whole() const {
    ModalityValues joined;
    for (const auto& [name, tensors] : parts_) joined[name] = torch::cat(tensors).contiguous();
    return joined;
  }

 private:
  std::map<std::string, std::vector<Tensor>> parts_ = {};
};

void write_arrays(const std::string& out, const ModalityValues& values) {
  std::vector<std::pair<std::string, ArrayView>> arrays;
  for (const auto& [name, tensor] : values) arrays.emplace_back(name, view_of(tensor));
  write_npz(out, arrays);
}

}  // namespace

Multimodal* multimodal(Model& model) {
  auto* found = dynamic_cast<Multimodal*>(&model);
  return found && found->modalities().size() > 1 ? found : nullptr;
}

void sample_modalities(const OpenedRun& opened, Multimodal& model, const SampleModalities& what) {
  const bool png = is_png(what.out);
  const auto& spec = opened.checkpoint.state().data_spec;
  const auto device = opened.experiment.runtime.device;
  const auto given = given_modalities(what.given, model, spec, opened.experiment.dataset.get(), what.count, device);
  Stream noise(what.seed, "sample", device);
  Parts parts;
  for (int64_t first = 0; first < what.count; first += kRowsAtOnce) {
    auto rows = rows_without_fields(std::min(kRowsAtOnce, what.count - first));
    for (const auto& [name, field] : given.rows.fields) rows.fields[name] = {.value = field.value.narrow(0, first, rows.size())};
    for (const auto& [name, values] : conditional_samples(model, spec, rows, what.temperature, noise)) parts.add(name, values);
  }
  const auto drawn = parts.whole();
  if (png) {
    write_png(what.out, modality_grid(model, spec, given.values, drawn, given.turns));
  } else {
    write_arrays(what.out, drawn);
  }
  Subset names;
  for (const auto& [name, ignored] : given.values) names.push_back(name);
  std::cerr << count_of(what.count, "sample") << " of " << join(model.modalities(), ", ") << " in " << what.out << " ("
            << (names.empty() ? std::string("from the prior") : "given " + join(names, ", ")) << ")\n";
}

void cross_modalities(const OpenedRun& opened, Multimodal& model, const CrossModalities& what) {
  const auto& dataset = opened.experiment.dataset;
  const auto& spec = dataset->spec();
  GranuleNoise noise(opened.experiment.seed(), opened.experiment.runtime.device);
  if (is_png(what.out)) {
    constexpr int64_t kMostRows = 64;
    const auto count = what.count.value_or(cross_generation_rows(model.modalities().size()));
    if (count > kMostRows) {
      throw UsageError(
          text("--count: a picture has at most ", kMostRows, " rows of each modality, got ", count, "; write more to an .npz"));
    }
    const auto rows = whole_rows(model, *dataset, what.split, count);
    write_png(what.out, cross_generation_grid(model, spec, cross_generation(model, spec, rows, noise)));
    std::cerr << count_of(rows.size(), "row") << " of each of " << join(model.modalities(), ", ") << " in " << what.out << "\n";
    return;
  }
  const SequentialLoader loader(dataset, what.split, kRowsAtOnce, what.count.value_or(32));
  Parts parts;
  int64_t count = 0;
  for (int64_t i = 0; i < loader.num_batches(); ++i) {
    const auto batch = loader.at(i);
    noise.place(count, 0);
    const auto crossing = cross_generation(model, spec, batch, noise);
    parts.add("index", batch.index);
    for (const auto& [name, values] : crossing.originals) parts.add(name, values);
    for (const auto& [source, generated] : crossing.generated) {
      const auto from = source.size() == 1 ? source.front() : std::string("all");
      for (const auto& [name, values] : generated) parts.add(name + "_from_" + from, values);
    }
    count += batch.size();
  }
  write_arrays(what.out, parts.whole());
  std::cerr << count_of(count, "row") << " of each of " << join(model.modalities(), ", ") << " in " << what.out << "\n";
}

}  // namespace elbo
