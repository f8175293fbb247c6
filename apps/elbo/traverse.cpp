#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <iostream>

#include "command.h"
#include "elbo/base/error.h"
#include "elbo/base/log.h"
#include "elbo/base/text.h"
#include "elbo/data/loader.h"
#include "elbo/evaluation/evaluator.h"
#include "elbo/evaluation/traversal.h"
#include "elbo/io/npy.h"
#include "elbo/math/tensors.h"
#include "elbo/training/evaluation_mode.h"
#include "output.h"

namespace elbo {
namespace {

constexpr int64_t kPanelRows = 2000;  // enough to put the units in order

/// "0,3,12". Throws: UsageError.
std::vector<int64_t> integers(const std::string& option, const std::string& given) {
  std::vector<int64_t> values;
  for (const auto& word : split(given, ',')) {
    const auto one = trim(word);
    int64_t value = 0;
    const auto [end, error] = std::from_chars(one.data(), one.data() + one.size(), value);
    if (error != std::errc() || end != one.data() + one.size() || value < 0) {
      throw UsageError("--" + option + ": got " + in_quotes(given) +
                       ", expected whole numbers of 0 or more, separated by commas");
    }
    values.push_back(value);
  }
  return values;
}

/// "-3,3". Throws: UsageError.
std::pair<double, double> range_of(const std::string& given) {
  const auto words = split(given, ',');
  double ends[2] = {};
  bool good = words.size() == 2;
  for (size_t i = 0; good && i < 2; ++i) {
    const auto word = trim(words[i]);
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), ends[i]);
    good = error == std::errc() && end == word.data() + word.size() && std::isfinite(ends[i]);
  }
  if (!good || ends[0] == ends[1]) throw UsageError("--range: got " + in_quotes(given) + ", expected two numbers, such as -3,3");
  return {ends[0], ends[1]};
}

Batch rows_at(const Dataset& dataset, Split split, const std::vector<int64_t>& rows) {
  for (const auto row : rows) {
    if (row >= dataset.size(split)) {
      throw UsageError(text("--row: got ", row, ", the ", split_name(split), " split has rows 0 to ", dataset.size(split) - 1));
    }
  }
  Stream unused(0, "traverse", at::kCPU);
  return dataset.gather(split, torch::tensor(rows, torch::kLong), unused);
}

Batch one_row(const Batch& batch, int64_t i) {
  const auto narrow = [i](const Tensor& value) { return value.defined() ? value.narrow(0, i, 1) : Tensor(); };
  Batch row{.fields = {}, .index = narrow(batch.index)};
  for (const auto& [name, field] : batch.fields) {
    row.fields[name] = {.value = narrow(field.value), .present = narrow(field.present), .valid = narrow(field.valid)};
  }
  return row;
}

/// The units asked for, and their KL where it is known.
struct ChosenUnits {
  std::vector<int64_t> units = {};
  Tensor kl = {};
};

ChosenUnits choose_units(const OpenedRun& opened, const std::string& given, Split split, int64_t code_size) {
  if (given != "active" && given != "all") return {.units = integers("units", given)};
  if (dynamic_cast<Variational*>(opened.experiment.model.get())) {
    const auto panel = collapse_panel({.model = *opened.experiment.model,
                                       .dataset = opened.experiment.dataset,
                                       .split = split,
                                       .limit = kPanelRows,
                                       .device = opened.experiment.runtime.device});
    auto units = units_by_kl(panel, code_size, given == "all" ? UnitChoice::all : UnitChoice::active);
    if (!units.empty()) return {.units = units, .kl = panel.layers[0].kl_per_unit};
    if (given == "active") log_warn("no unit is active: all of them are shown");
  }
  ChosenUnits all;
  for (int64_t unit = 0; unit < code_size; ++unit) all.units.push_back(unit);
  return all;
}

}  // namespace

int run_traverse(const std::vector<std::string>& words) {
  CommandLine line(
      "traverse",
      "Shows what the units of a code mean: rows of a split are encoded and one unit after the other is moved, a row a unit, the "
      "unit of the largest KL first.",
      "RUN",
      {"elbo traverse RUN --out traverse.png", "elbo traverse RUN --rows 3,17 --units 0,5,2 --range -2,2 --steps 7",
       "elbo traverse RUN --units all --out traverse.npz"});
  line.add()("row", "the row of the split to start from", cxxopts::value<int64_t>()->default_value("0"));
  line.add()("rows", "several rows, separated by commas, one block of units each", cxxopts::value<std::string>());
  line.add()("units", "active, all, or their numbers separated by commas",
             cxxopts::value<std::string>()->default_value("active"));
  line.add()("range", "first and last value of a unit", cxxopts::value<std::string>()->default_value("-3,3"));
  line.add()("steps", "values of a unit", cxxopts::value<int64_t>()->default_value("9"));
  line.add()("split", "train, valid or test", cxxopts::value<std::string>()->default_value("test"));
  line.add()("out", "a .png grid or an .npz with arrays x, units, values, rows and code",
             cxxopts::value<std::string>()->default_value("traverse.png"));
  line.add_runtime();
  if (!line.parse(words, 1, 1)) return 0;
  const auto out = line.get<std::string>("out");
  const auto extension = ending(out);
  if (extension != ".png" && extension != ".npz") {
    throw UsageError("--out: got " + in_quotes(out) + ", expected a name that ends in .png or .npz");
  }
  check_output_folder("out", out);
  const auto split = split_named(line.get<std::string>("split"));
  const auto [low, high] = range_of(line.get<std::string>("range"));
  const auto values = steps_between(low, high, line.integer("steps", 2, 1000));
  const auto given_rows = line.find<std::string>("rows");
  if (given_rows && line.has("row")) throw UsageError("--row and --rows: give one of them");
  const auto rows = given_rows ? integers("rows", *given_rows) : std::vector<int64_t>{line.integer("row", 0, int64_t{1} << 40)};
  const auto units_given = line.get<std::string>("units");
  if (units_given != "active" && units_given != "all") integers("units", units_given);

  const auto opened = open_run(line.positional()[0], line.runtime(), DataUse::load);
  auto& model = *opened.experiment.model;
  auto& encodes = able_to<Encodes>(model, "encode, so there is nothing to traverse");
  auto& decodes = able_to<Decodes>(model, "decode a code, so there is nothing to traverse");
  const EvaluationMode mode({&model});
  const auto chosen = choose_units(opened, units_given, split, decodes.code_size());
  const auto batch = rows_at(*opened.experiment.dataset, split, rows);
  const auto code = encodes.encode(batch);
  std::vector<Tensor> blocks;
  for (int64_t i = 0; i < batch.size(); ++i)
    blocks.push_back(traverse(decodes, code[i], one_row(batch, i), chosen.units, values));
  const auto x = torch::stack(blocks).contiguous();  // [rows, units, values, event...]
  if (extension == ".png") {
    if (x.size(0) * x.size(1) * x.size(2) > 8192) {
      throw UsageError(text("--out: ", with_commas(x.size(0) * x.size(1) * x.size(2)),
                            " pictures are too many for one .png; choose --units, or write an .npz"));
    }
    const auto grid = traversal_grid(x.flatten(0, 1));
    if (!grid) throw UsageError("--out: these data are no pictures; write them to an .npz");
    write_png(out, *grid);
  } else {
    const auto units = torch::tensor(chosen.units, torch::kLong), places = torch::tensor(rows, torch::kLong);
    const auto steps = torch::tensor(values, torch::kDouble), codes = code.cpu().contiguous();
    write_npz(out, {{"x", view_of(x)},
                    {"units", view_of(units)},
                    {"values", view_of(steps)},
                    {"rows", view_of(places)},
                    {"code", view_of(codes)}});
  }
  std::vector<std::string> named;
  for (const auto unit : chosen.units) {
    char kl[48] = {};
    if (chosen.kl.defined()) std::snprintf(kl, sizeof kl, " (%.3g)", chosen.kl[unit].item<double>());
    named.push_back(std::to_string(unit) + kl);
  }
  std::cerr << "units" << (chosen.kl.defined() ? " (KL in nats)" : "") << ", from the top: " << join(named, ", ") << "\n"
            << count_of(batch.size(), "row") << " of the " << split_name(split) << " split in " << out << "\n";
  return 0;
}

}  // namespace elbo
