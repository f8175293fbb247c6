#include <filesystem>
#include <iostream>

#include "command.h"
#include "elbo/base/error.h"
#include "elbo/base/text.h"
#include "elbo/data/loader.h"
#include "elbo/evaluation/evaluator.h"
#include "elbo/evaluation/pictures.h"
#include "elbo/io/npy.h"
#include "elbo/math/tensors.h"
#include "elbo/models/abilities.h"

namespace elbo {
namespace {

enum class OutputKind { png, npz };

OutputKind output_kind(const std::string& path) {
  const auto extension = std::filesystem::path(path).extension();
  if (extension == ".png") return OutputKind::png;
  if (extension == ".npz") return OutputKind::npz;
  throw UsageError("--out: got " + in_quotes(path) + ", expected a name that ends in .png or .npz");
}

void write_picture(const std::string& path, const std::optional<Image>& image) {
  if (!image) throw UsageError("--out: these data are no pictures; write them to an .npz");
  write_png(path, *image);
}

template <class Ability>
Ability& ability(Model& model, const char* what) {
  if (auto* found = dynamic_cast<Ability*>(&model)) return *found;
  throw UsageError(std::string("this model is ") + std::string(model.family()) + " and can't " + what);
}

}  // namespace

int run_sample(const std::vector<std::string>& words) {
  CommandLine line("sample", "Draws new data from a run's model: the mean of p(x | z) for z from the prior.", "RUN",
                   {"elbo sample RUN --out samples.png", "elbo sample RUN --count 1000 --out samples.npz --temperature 0.8"});
  line.add()("count", "how many", cxxopts::value<int64_t>()->default_value("64"));
  line.add()("out", "a .png grid or an .npz with array x", cxxopts::value<std::string>()->default_value("samples.png"));
  line.add()("temperature", "scales the spread of z around the prior's mean", cxxopts::value<double>()->default_value("1"));
  line.add()("seed", "seed of the draws", cxxopts::value<int64_t>()->default_value("0"));
  line.add_runtime();
  if (!line.parse(words, 1, 1)) return 0;
  const auto out = line.get<std::string>("out");
  const auto kind = output_kind(out);
  const auto count = line.integer("count", 1, kind == OutputKind::png ? 4096 : 1 << 24);
  const auto temperature = line.get<double>("temperature");
  if (!(temperature >= 0 && temperature < 1e6)) throw UsageError("--temperature: expected a number of 0 or more");

  const auto opened = open_run(line.positional()[0], line.runtime(), DataUse::headers);
  const torch::NoGradGuard no_grad;
  Stream noise(static_cast<uint64_t>(line.integer("seed", 0, 4294967295)), "sample", opened.experiment.runtime.device);
  auto& samples = ability<Samples>(*opened.experiment.model, "draw samples");
  constexpr int64_t kAtOnce = 1024;
  std::vector<Tensor> parts;
  for (int64_t first = 0; first < count; first += kAtOnce) {
    parts.push_back(samples.sample(rows_without_fields(std::min(kAtOnce, count - first)), temperature, noise).cpu());
  }
  const auto x = torch::cat(parts).contiguous();
  if (kind == OutputKind::png) {
    write_picture(out, sample_grid(x));
  } else {
    write_npz(out, {{"x", view_of(x)}});
  }
  std::cerr << count_of(count, "sample") << " in " << out << "\n";
  return 0;
}

int run_reconstruct(const std::vector<std::string>& words) {
  CommandLine line(
      "reconstruct", "Shows data of a split, each row above its reconstructions (the mean of p(x | z) at the posterior's mean).",
      "RUN", {"elbo reconstruct RUN --out reconstructions.png", "elbo reconstruct RUN --count 1000 --out reconstructions.npz"});
  line.add()("count", "how many rows of the split", cxxopts::value<int64_t>()->default_value("32"));
  line.add()("split", "train, valid or test", cxxopts::value<std::string>()->default_value("test"));
  line.add()("out", "a .png grid or an .npz with arrays x, reconstruction and index (and label)",
             cxxopts::value<std::string>()->default_value("reconstructions.png"));
  line.add_runtime();
  if (!line.parse(words, 1, 1)) return 0;
  const auto out = line.get<std::string>("out");
  const auto kind = output_kind(out);
  const auto count = line.integer("count", 1, 1 << 24);
  const auto split = split_named(line.get<std::string>("split"));

  const auto opened = open_run(line.positional()[0], line.runtime(), DataUse::load);
  const torch::NoGradGuard no_grad;
  auto& model = ability<Reconstructs>(*opened.experiment.model, "reconstruct");
  const SequentialLoader loader(opened.experiment.dataset, split, 256, count);
  std::vector<Tensor> originals, reconstructions, indices, labels;
  for (int64_t i = 0; i < loader.num_batches(); ++i) {
    const auto batch = loader.at(i);
    originals.push_back(batch.at("x").cpu());
    reconstructions.push_back(model.reconstruct(batch).cpu());
    indices.push_back(batch.index.cpu());
    if (batch.has("label")) labels.push_back(batch.at("label").cpu());
  }
  const auto x = torch::cat(originals).contiguous();
  const auto y = torch::cat(reconstructions).contiguous();
  if (kind == OutputKind::png) {
    write_picture(out, reconstruction_grid(x, y));
  } else {
    const auto index = torch::cat(indices).contiguous();
    std::vector<std::pair<std::string, ArrayView>> arrays = {
        {"x", view_of(x)}, {"reconstruction", view_of(y)}, {"index", view_of(index)}};
    Tensor label;
    if (!labels.empty()) {
      label = torch::cat(labels).contiguous();
      arrays.emplace_back("label", view_of(label));
    }
    write_npz(out, arrays);
  }
  std::cerr << count_of(x.size(0), "reconstruction") << " in " << out << "\n";
  return 0;
}

}  // namespace elbo
