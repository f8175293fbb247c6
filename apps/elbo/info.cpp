#include <algorithm>
#include <cstdio>
#include <fstream>
#include <iostream>

#include "command.h"
#include "elbo/base/json.h"
#include "elbo/base/table.h"
#include "elbo/base/text.h"
#include "elbo/math/init.h"

namespace elbo {
namespace {

namespace fs = std::filesystem;

/// The last line of metrics.jsonl of each split.
std::map<std::string, Json> last_values(const fs::path& file) {
  std::map<std::string, Json> last;
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);) {
    auto values = Json::parse(line, nullptr, /*allow_exceptions=*/false);
    if (!values.is_object() || !values.contains("split")) continue;
    const auto split = values["split"].get<std::string>();
    last[split] = std::move(values);
  }
  return last;
}

/// Six significant digits: what a person reads. metrics.jsonl and state.json keep all.
std::string for_reading(double value) {
  char digits[32];
  std::snprintf(digits, sizeof digits, "%.6g", value);
  return digits;
}

std::vector<std::string> checkpoint_names(const fs::path& folder) {
  std::vector<std::pair<int64_t, std::string>> found;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    const auto name = entry.path().filename().string();
    if (!entry.is_symlink() && name.starts_with("step-")) found.emplace_back(std::strtoll(name.c_str() + 5, nullptr, 10), name);
  }
  std::sort(found.begin(), found.end());
  std::vector<std::string> names;
  for (auto& [step, name] : found) names.push_back(std::move(name));
  return names;
}

}  // namespace

int run_info(const std::vector<std::string>& words) {
  CommandLine line("info", "Tells what a run is: its experiment, model, checkpoints and last numbers.", "RUN",
                   {"elbo info RUN", "elbo info RUN/checkpoints/best"});
  line.add_runtime();
  if (!line.parse(words, 1, 1)) return 0;
  const auto opened = open_run(line.positional()[0], line.runtime(), DataUse::headers);
  const auto& experiment = opened.experiment;
  const auto& state = opened.checkpoint.state();
  const fs::path run =
      fs::exists(opened.run / "checkpoints") ? opened.run : fs::canonical(opened.checkpoint.folder()).parent_path().parent_path();
  const auto folder = fs::canonical(opened.checkpoint.folder()).filename().string();

  Table table({{.title = "what"}, {.title = "value"}});
  table.row({"experiment", experiment.config.name});
  table.row({"data", experiment.config.data.type()});
  table.row({"model", experiment.config.model.type() + ", " + experiment.model->summary()});
  table.row({"parameters", with_commas(num_parameters(*experiment.model))});
  for (const auto& base : state.bases) {
    table.row(
        {"builds on", base.run + ", " + base.checkpoint + ", weights " + base.weights_sha256.substr(0, 16) + "… (in this run)"});
  }
  table.row({"objective", experiment.config.objective.type()});
  table.row({"seed", std::to_string(experiment.config.seed)});
  table.row({"checkpoint", folder + ", step " + with_commas(state.step) + ", epoch " + std::to_string(state.epoch)});
  table.row({"weights (SHA-256)", opened.checkpoint.model_sha256()});
  if (state.monitored) table.row({state.monitor, for_reading(*state.monitored)});
  if (state.best)
    table.row({"best " + state.monitor, for_reading(state.best->value) + " at step " + with_commas(state.best->step)});
  table.row({"written by", "elbo " + state.library_version + ", LibTorch " + state.torch_version});
  table.row({"all checkpoints", join(checkpoint_names(run / "checkpoints"), ", ")});
  std::cout << table.str();
  for (const auto& [split, values] : last_values(run / "metrics.jsonl")) {
    std::cout << "\nlast " << split << " values\n";
    Table numbers({{.title = "name"}, {.title = "value", .align = Align::right}});
    for (const auto& [name, value] : values.items()) {
      if (value.is_number() || value.is_null())
        numbers.row({name, value.is_number_float() ? for_reading(value.get<double>()) : value.dump()});
    }
    std::cout << numbers.str();
  }
  return 0;
}

}  // namespace elbo
