#include <filesystem>
#include <iostream>

#include "command.h"
#include "elbo/base/error.h"
#include "elbo/base/progress.h"
#include "elbo/base/text.h"
#include "elbo/data/loader.h"
#include "elbo/evaluation/evaluator.h"
#include "elbo/evaluation/granule_noise.h"
#include "elbo/evaluation/pictures.h"
#include "elbo/evaluation/table_csv.h"
#include "elbo/io/npy.h"
#include "elbo/math/tensors.h"
#include "elbo/models/code_prior.h"
#include "elbo/models/conditions.h"
#include "elbo/models/impute.h"
#include "given.h"
#include "modalities.h"
#include "output.h"

namespace elbo {
namespace {

enum class OutputKind { png, npz, csv };

OutputKind output_kind(const std::string& path) {
  const auto extension = ending(path);
  if (extension == ".png") return OutputKind::png;
  if (extension == ".npz") return OutputKind::npz;
  if (extension == ".csv") return OutputKind::csv;
  throw UsageError("--out: got " + in_quotes(path) + ", expected a name that ends in .png or .npz, or in .csv for a table");
}

void write_picture(const std::string& path, const std::optional<Image>& image) {
  if (!image) throw UsageError("--out: these data are no pictures; write them to an .npz");
  write_png(path, *image);
}

/// The columns of x. Throws: UsageError where it is no table.
const std::vector<Column>& columns_of(const DataSpec& spec) {
  const auto x = spec.find("x");
  if (x == spec.end() || x->second.kind != ValueKind::table) {
    throw UsageError("--out: these data are no table; write them to an .npz");
  }
  return x->second.columns;
}

template <class Ability>
Ability& ability(Model& model, const char* what) {
  if (auto* found = dynamic_cast<Ability*>(&model)) return *found;
  throw UsageError(std::string("this model is ") + std::string(model.family()) + " and can't " + what);
}

using Draw = std::function<Tensor(const Batch& rows, Noise& noise)>;

/// How rows are drawn. Throws: UsageError where codes are chosen and there is no prior over codes.
Draw draw_of(Samples& samples, const CodeSampling& sampling) {
  if (sampling.top_k < 0 || !(sampling.top_p > 0 && sampling.top_p <= 1)) {
    throw UsageError("--top-p: expected a number above 0, up to 1");
  }
  if (auto* prior = dynamic_cast<CodePriorModel*>(&samples)) {
    return [prior, sampling](const Batch& rows, Noise& noise) {
      return prior->decode_codes(prior->sample_codes(rows.size(), prior->labels(rows), sampling, noise));
    };
  }
  if (sampling.top_k > 0 || sampling.top_p < 1) {
    throw UsageError("--top-k and --top-p: only a prior over codes chooses among codes (model code_prior)");
  }
  return [&samples, sampling](const Batch& rows, Noise& noise) { return samples.sample(rows, sampling.temperature, noise); };
}

}  // namespace

int run_sample(const std::vector<std::string>& words) {
  CommandLine line("sample", "Draws new data from a run's model: the mean of p(x | z) for z from the prior.", "RUN",
                   {"elbo sample RUN --out samples.png", "elbo sample RUN --count 1000 --out samples.npz --temperature 0.8",
                    "elbo sample RUN --given label=3",
                    "elbo sample RUN --given label=7 --top-p 0.95 --temperature 0.9          (a prior over codes)",
                    "elbo sample RUN --given label=0,1,2 --count 30",
                    "elbo sample RUN --given image=shoe.png --out given.png     (a model of several modalities)",
                    "elbo sample RUN --given image=test:17,label=3 --count 8"});
  line.add()("count", "how many (default: 64, of several modalities 16)", cxxopts::value<int64_t>());
  line.add()("out",
             "a .png grid (of several modalities a row of each, what was given on the left), an .npz with array x and its "
             "conditions (or an array a modality), or a .csv of a table",
             cxxopts::value<std::string>()->default_value("samples.png"));
  line.add()("given",
             "class of a condition, FIELD=CLASS; several are taken in turn (default: all classes, each a column of the grid). Of "
             "several modalities any of them: FIELD=FILE.png, .jpg or .npy, FIELD=CLASS, or FIELD=test:17, a row of a split",
             cxxopts::value<std::vector<std::string>>());
  line.add()("temperature",
             "scales the spread of z around the prior's mean; of a prior over codes divides its logits, 0 takes the "
             "most likely code",
             cxxopts::value<double>()->default_value("1"));
  line.add()("top-k", "of a prior over codes: only the k most likely (default: all)", cxxopts::value<int64_t>());
  line.add()("top-p", "of a prior over codes: only the fewest codes that are likely together with p (default: all)",
             cxxopts::value<double>());
  line.add()("seed", "seed of the draws", cxxopts::value<int64_t>()->default_value("0"));
  line.add_runtime();
  if (!line.parse(words, 1, 1)) return 0;
  const auto out = line.get<std::string>("out");
  const auto kind = output_kind(out);
  check_output_folder("out", out);
  const auto asked_count =
      line.has("count") ? std::optional(line.integer("count", 1, kind == OutputKind::png ? 4096 : 1 << 24)) : std::nullopt;
  const auto temperature = line.get<double>("temperature");
  if (!(temperature >= 0 && temperature < 1e6)) throw UsageError("--temperature: expected a number of 0 or more");

  const auto seed = static_cast<uint64_t>(line.integer("seed", 0, 4294967295));
  const auto asked_given = given_words(line.find<std::vector<std::string>>("given").value_or(std::vector<std::string>{}));
  for (const auto& [field, values] : asked_given) {
    for (const auto& value : values) {
      if (value.empty() || !same_file(out, value)) continue;
      throw UsageError("--out: " + in_quotes(out) + " is what --given reads; choose another name");
    }
  }

  const auto opened = open_run(line.positional()[0], line.runtime(), reads_data(asked_given) ? DataUse::load : DataUse::headers);
  const auto& spec = opened.checkpoint.state().data_spec;
  const torch::NoGradGuard no_grad;
  if (auto* modalities = multimodal(*opened.experiment.model)) {
    sample_modalities(
        opened, *modalities,
        {.out = out, .count = asked_count.value_or(16), .temperature = temperature, .seed = seed, .given = asked_given});
    return 0;
  }
  const auto count = asked_count.value_or(64);
  const auto given = given_classes(asked_given);
  Stream noise(seed, "sample", opened.experiment.runtime.device);
  auto& samples = ability<Samples>(*opened.experiment.model, "draw samples");
  const auto drawn = draw_of(samples, {.temperature = temperature,
                                       .top_k = line.has("top-k") ? line.integer("top-k", 1, 1 << 30) : 0,
                                       .top_p = line.has("top-p") ? line.get<double>("top-p") : 1});
  const auto conditions = conditions_for(samples, spec, count, given);
  if (kind == OutputKind::csv) columns_of(spec);                         // before the work
  const bool slow = dynamic_cast<CodePriorModel*>(&samples) != nullptr;  // code after code
  const int64_t at_once = slow ? 64 : 1024;
  std::vector<Tensor> parts;
  Progress progress("samples", count, "img", slow ? ProgressStyle::automatic : ProgressStyle::quiet);
  for (int64_t first = 0; first < count; first += at_once) {
    auto rows = rows_without_fields(std::min(at_once, count - first));
    for (const auto& [name, field] : conditions.fields) {
      rows.fields[name] = {.value = field.value.narrow(0, first, rows.size()).to(opened.experiment.runtime.device)};
    }
    parts.push_back(drawn(rows, noise).cpu());
    progress.update(first + rows.size());
  }
  progress.finish();
  const auto x = torch::cat(parts).contiguous();
  if (kind == OutputKind::png) {
    write_picture(out, sample_grid(x, static_cast<int>(condition_columns(samples, spec, given))));
  } else if (kind == OutputKind::csv) {
    write_output(out, table_csv(columns_of(spec), x));
  } else {
    std::vector<std::pair<std::string, ArrayView>> arrays = {{"x", view_of(x)}};
    for (const auto& [name, field] : conditions.fields) arrays.emplace_back(name, view_of(field.value));
    write_npz(out, arrays);
  }
  const auto from = samples.sampled_from();
  std::cerr << count_of(count, "sample") << " in " << out << (from.empty() ? "" : " (" + from + ")") << "\n";
  return 0;
}

int run_reconstruct(const std::vector<std::string>& words) {
  CommandLine line(
      "reconstruct", "Shows data of a split, each row above its reconstructions (the mean of p(x | z) at the posterior's mean).",
      "RUN",
      {"elbo reconstruct RUN --out reconstructions.png", "elbo reconstruct RUN --count 1000 --out reconstructions.npz",
       "elbo reconstruct RUN --split test --out filled.csv",
       "elbo reconstruct RUN --count 4 --out crossed.png    (several modalities: each from each other one)"});
  line.add()("count", "how many rows of the split (default: 32, for a .csv all, for a picture of several modalities 3 to 6)",
             cxxopts::value<int64_t>());
  line.add()("split", "train, valid or test", cxxopts::value<std::string>()->default_value("test"));
  line.add()("out",
             "a .png grid, an .npz with arrays x, reconstruction and index (and label; of a table valid and imputed; of several "
             "modalities NAME and NAME_from_OTHER), or of a table a .csv with its missing cells filled",
             cxxopts::value<std::string>()->default_value("reconstructions.png"));
  line.add()("samples", "importance samples with which a row's missing cells are filled",
             cxxopts::value<int64_t>()->default_value("1000"));
  line.add_runtime();
  if (!line.parse(words, 1, 1)) return 0;
  const auto out = line.get<std::string>("out");
  const auto kind = output_kind(out);
  check_output_folder("out", out);
  constexpr int64_t kAllRows = 0;
  const auto count = line.has("count") ? line.integer("count", 1, 1 << 24) : kind == OutputKind::csv ? kAllRows : 32;
  const auto num_samples = line.integer("samples", 1, 1'000'000);
  const auto split = split_named(line.get<std::string>("split"));

  const auto opened = open_run(line.positional()[0], line.runtime(), DataUse::load);
  const torch::NoGradGuard no_grad;
  if (auto* modalities = multimodal(*opened.experiment.model)) {
    cross_modalities(opened, *modalities,
                     {.out = out,
                      .count = count == kAllRows   ? std::nullopt
                               : line.has("count") ? std::optional(count)
                                                   : std::nullopt,
                      .split = split});
    return 0;
  }
  auto& model = ability<Reconstructs>(*opened.experiment.model, "reconstruct");
  const auto& spec = opened.experiment.dataset->spec();
  const auto field = model.reconstructed_field();
  const bool is_table = spec.at(field).kind == ValueKind::table;
  auto* variational = dynamic_cast<Variational*>(opened.experiment.model.get());
  if (kind == OutputKind::csv) {  // before the work
    columns_of(spec);
    if (!variational) throw UsageError("--out: only variational models fill the cells of a table; write it to an .npz");
  }
  const SequentialLoader loader(opened.experiment.dataset, split, is_table ? GranuleNoise::kRows : 256, count);
  GranuleNoise noise(opened.experiment.seed(), opened.experiment.runtime.device);
  std::map<std::string, std::vector<Tensor>> parts;
  for (int64_t i = 0; i < loader.num_batches(); ++i) {
    const auto batch = loader.at(i);
    for (const auto& name : {std::string("x"), field}) {
      if (batch.has(name) && parts[name].size() == static_cast<size_t>(i)) parts[name].push_back(batch.at(name).cpu());
    }
    parts["reconstruction"].push_back(model.reconstruct(batch).cpu());
    parts["index"].push_back(batch.index.cpu());
    if (batch.has("label")) parts["label"].push_back(batch.at("label").cpu());
    if (is_table && variational) {
      const auto& valid = batch.fields.at("x").valid;
      noise.place(i * GranuleNoise::kRows, 0);
      parts["imputed"].push_back(impute(*variational, batch, num_samples, noise).cpu());
      parts["valid"].push_back(valid.defined() ? valid.cpu() : torch::ones_like(batch.at("x"), torch::kBool).cpu());
    }
  }
  std::map<std::string, Tensor> whole;
  for (const auto& [name, tensors] : parts) whole[name] = torch::cat(tensors).contiguous();
  const auto& original = whole.at(field);
  if (kind == OutputKind::png) {
    write_picture(out, reconstruction_grid(original, whole.at("reconstruction")));
  } else if (kind == OutputKind::csv) {
    write_output(out, table_csv(columns_of(spec), whole.at("imputed")));
  } else {
    std::vector<std::pair<std::string, ArrayView>> arrays;
    for (const auto& [name, tensor] : whole) arrays.emplace_back(name, view_of(tensor));
    write_npz(out, arrays);
  }
  std::cerr << count_of(original.size(0), kind == OutputKind::csv ? "row" : "reconstruction") << " in " << out << "\n";
  return 0;
}

}  // namespace elbo
