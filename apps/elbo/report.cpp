#include "elbo/evaluation/report.h"

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <fstream>
#include <iostream>

#include "command.h"
#include "elbo/base/error.h"
#include "elbo/base/log.h"
#include "elbo/base/text.h"
#include "elbo/base/version.h"
#include "elbo/config/yaml.h"
#include "elbo/data/loader.h"
#include "elbo/evaluation/traversal.h"
#include "elbo/io/file.h"
#include "elbo/math/init.h"
#include "elbo/training/evaluation_mode.h"
#include "output.h"

namespace elbo {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxPictureBytes = size_t{8} << 20;
constexpr size_t kMaxJsonBytes = size_t{4} << 20;
constexpr int64_t kTraversalPanelRows = 2000;
constexpr size_t kTraversedUnits = 10;
constexpr int64_t kTraversalSteps = 9;

enum class Traversals { draw, leave_out };

/// Every value of a config by its path.
void collect(const Node& node, const std::string& path, RunReport::Rows& rows) {
  if (node.kind != NodeKind::map || node.entries.empty()) {
    rows.emplace_back(path, node.kind == NodeKind::scalar ? node.text : to_flow_yaml(node));
    return;
  }
  for (const auto& [key, value] : node.entries) collect(value, path.empty() ? key : path + "." + key, rows);
}

/// The step in "step-430-samples.png"; -1 for other names.
int64_t step_of(const std::string& name, const std::string& ending) {
  if (!name.starts_with("step-") || !name.ends_with("-" + ending + ".png")) return -1;
  const auto digits = name.substr(5, name.size() - 5 - ending.size() - 5);
  if (digits.empty() || digits.size() > 15 || digits.find_first_not_of("0123456789") != std::string::npos) return -1;
  return std::stoll(digits);
}

std::vector<ReportPicture> pictures_of(const fs::path& folder, const std::string& ending, RunReport& report) {
  std::vector<std::pair<int64_t, fs::path>> found;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    const auto step = step_of(entry.path().filename().string(), ending);
    if (step >= 0) found.emplace_back(step, entry.path());
  }
  std::sort(found.begin(), found.end());
  std::vector<ReportPicture> pictures;
  for (const auto& [step, path] : found) {
    const auto title = "step " + with_commas(step);
    try {
      auto png = read_text(path, kMaxPictureBytes);
      if (!png.starts_with("\x89PNG\r\n\x1a\n")) throw DataError(path.string() + ": not a PNG");
      const auto alt = ending == "samples"            ? "A grid of samples of the model after " + title
                       : ending == "cross_generation" ? "Each modality generated from each other one after " + title
                                                      : "Rows of validation data above their reconstructions after " + title;
      pictures.push_back({.title = title, .alt = alt, .png = std::move(png)});
    } catch (const Error& problem) {
      report.remarks.push_back(std::string(problem.what()) + ": left out");
    }
  }
  return pictures;
}

/// Results of `elbo evaluate --json` that were put into the run's folder, by name.
void read_evaluations(const fs::path& folder, RunReport& report) {
  std::vector<fs::path> files;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    if (entry.path().extension() == ".json" && entry.is_regular_file(error)) files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  for (const auto& file : files) {
    const auto name = file.filename().string();
    try {
      auto json = parse_json(read_text(file, kMaxJsonBytes), name);
      if (json.is_object() && json.contains("metrics") && json["metrics"].is_object()) {
        report.evaluations.push_back({.file = name, .json = std::move(json)});
      }
    } catch (const Error& problem) {
      report.remarks.push_back(std::string(problem.what()) + ": left out");
    }
  }
}

/// "cpu, 2 threads" from the first line of log.txt: what the run was trained on.
std::string trained_on(const fs::path& log) {
  std::ifstream in(log);
  std::string line;
  if (!std::getline(in, line) || line.size() > 4096) return "";
  const auto end = line.find("   run ");
  const auto start = end == std::string::npos ? end : line.rfind("   ", end - 1);
  return start == std::string::npos ? "" : line.substr(start + 3, end - start - 3);
}

std::string for_a_page(double value) {
  char digits[32];
  std::snprintf(digits, sizeof digits, "%.6g", value);
  return digits;
}

void draw_traversal(const OpenedRun& opened, RunReport& report) {
  auto& model = *opened.experiment.model;
  auto* encodes = dynamic_cast<Encodes*>(&model);
  auto* decodes = dynamic_cast<Decodes*>(&model);
  if (!encodes || !decodes) {
    report.remarks.emplace_back("no traversals: this model has no code that could be moved");
    return;
  }
  const EvaluationMode mode({&model});
  std::vector<int64_t> units;
  if (dynamic_cast<Variational*>(&model)) {
    const auto panel = collapse_panel({.model = model,
                                       .dataset = opened.experiment.dataset,
                                       .split = Split::test,
                                       .limit = kTraversalPanelRows,
                                       .device = opened.experiment.runtime.device});
    units = units_by_kl(panel, decodes->code_size(), UnitChoice::all);
  }
  for (int64_t unit = 0; units.empty() && unit < decodes->code_size(); ++unit) units.push_back(unit);
  if (units.size() > kTraversedUnits) units.resize(kTraversedUnits);
  const auto row = SequentialLoader(opened.experiment.dataset, Split::test, 1, 1).at(0);
  const auto grid =
      traversal_grid(traverse(*decodes, encodes->encode(row)[0], row, units, steps_between(-3, 3, kTraversalSteps)));
  if (!grid) return;  // no pictures: nothing to look at
  std::vector<std::string> names;
  for (const auto unit : units) names.push_back(std::to_string(unit));
  const auto list = join(names, ", ");
  report.traversals.push_back({.title = "row 0 of test; units from the top: " + list,
                               .alt = "Decoded pictures while units " + list + " of a code go from -3 to 3, a row a unit",
                               .png = encode_png(*grid)});
}

/// What needs the model itself. Whatever fails becomes a remark: a report of the rest is better than none.
void read_model(const fs::path& run, const Runtime& runtime, Traversals traversals, RunReport& report) {
  std::optional<OpenedRun> opened;
  if (traversals == Traversals::draw) {
    try {
      opened = open_run(run, runtime, DataUse::load);
    } catch (const Error& problem) {
      report.remarks.push_back(std::string("no traversals: ") + problem.what());
    }
  }
  try {
    if (!opened) opened = open_run(run, runtime, DataUse::headers);
    const auto& experiment = opened->experiment;
    const auto& state = opened->checkpoint.state();
    report.facts = {{"data", experiment.config.data.type()},
                    {"model", experiment.config.model.type() + " " + experiment.model->summary()},
                    {"parameters", with_commas(num_parameters(*experiment.model))},
                    {"objective", experiment.config.objective.type()},
                    {"seed", std::to_string(experiment.config.seed)}};
    report.environment.emplace_back("checkpoint", fs::weakly_canonical(opened->checkpoint.folder()).filename().string());
    report.environment.emplace_back("written by", "elbo " + state.library_version + ", LibTorch " + state.torch_version);
    report.environment.emplace_back("threads", std::to_string(state.num_threads));
    report.environment.emplace_back("weights (SHA-256)", opened->checkpoint.model_sha256());
    report.environment.emplace_back("config (SHA-256)", state.config_sha256);
    report.environment.emplace_back("data (SHA-256)", state.data_sha256);
    if (report.log.series.empty()) {
      report.status = text("step ", with_commas(state.step), ", epoch ", state.epoch);
      if (state.monitored) report.facts.emplace_back(state.monitor, for_a_page(*state.monitored));
    }
    if (state.best) {
      report.facts.emplace_back("best " + state.monitor,
                                text(for_a_page(state.best->value), " at step ", with_commas(state.best->step)));
    }
    if (experiment.dataset) draw_traversal(*opened, report);
  } catch (const Error& problem) {
    report.remarks.push_back(std::string("the model can't be opened: ") + problem.what());
  }
}

/// Throws: CheckpointError where there is neither a run nor a checkpoint.
RunReport read_run(const fs::path& given, const Runtime& runtime, Traversals traversals) {
  RunReport report{.folder = given.string()};
  fs::path folder = given;
  const bool is_checkpoint = fs::exists(given / "model.safetensors");
  if (is_checkpoint) {  // the run around it, where it lies in one
    const auto around = fs::weakly_canonical(given).parent_path().parent_path();
    if (fs::exists(around / "metrics.jsonl")) folder = around;
  }
  if (!is_checkpoint && !fs::exists(folder / "config.yaml")) {
    find_checkpoint(given);  // its own words for what isn't a run
  }
  const auto config_file = fs::exists(given / "config.yaml") ? given / "config.yaml" : folder / "config.yaml";
  try {
    const auto config = load_yaml(config_file);
    collect(config, "", report.config);
    if (const auto* name = config.find("name")) report.title = name->text;
  } catch (const Error& problem) {
    report.remarks.push_back(std::string("no config: ") + problem.what());
  }
  if (report.title.empty()) report.title = fs::weakly_canonical(given).filename().string();
  if (folder != given || !is_checkpoint) {
    report.log = read_run_log(folder / "metrics.jsonl");
    report.status = text("trained to step ", with_commas(report.log.last_step), ", epoch ", report.log.last_epoch);
    report.samples = pictures_of(folder / "samples", "samples", report);
    report.reconstructions = pictures_of(folder / "samples", "reconstructions", report);
    report.cross_generations = pictures_of(folder / "samples", "cross_generation", report);
    if (const auto device = trained_on(folder / "log.txt"); !device.empty())
      report.environment.emplace_back("trained on", device);
  } else {
    report.remarks.emplace_back("a checkpoint alone: no curves and no pictures of the training");
  }
  read_evaluations(folder, report);
  read_model(given, runtime, traversals, report);
  return report;
}

/// Runs of one name are told apart by their folders.
void make_titles_differ(std::vector<RunReport>& runs) {
  std::vector<std::string> titles;
  for (const auto& run : runs) titles.push_back(run.title);
  for (size_t i = 0; i < runs.size(); ++i) {
    if (std::count(titles.begin(), titles.end(), titles[i]) > 1) {
      const auto folder = fs::path(runs[i].folder);
      const auto last = folder.filename().empty() ? folder.parent_path().filename() : folder.filename();
      runs[i].title += " (" + last.string() + ")";
    }
  }
  for (size_t i = 0; i < runs.size(); ++i) {
    const auto same = std::count_if(runs.begin(), runs.end(), [&](const auto& other) { return other.title == runs[i].title; });
    if (same > 1) runs[i].title += " #" + std::to_string(i + 1);
  }
}

std::string utc_now() {
  const std::time_t now = std::time(nullptr);
  std::tm utc = {};
  gmtime_r(&now, &utc);
  char written[40] = {};
  std::strftime(written, sizeof written, "%Y-%m-%d %H:%M UTC", &utc);
  return written;
}

}  // namespace

int run_report(const std::vector<std::string>& words) {
  CommandLine line(
      "report",
      "Writes one HTML page about a run, or several side by side: numbers, curves, pictures, traversals, the units' use, config "
      "and environment. The page needs nothing else, no network either; a run may still be training.",
      "RUN...", {"elbo report RUN", "elbo report RUN1 RUN2 --out comparison.html", "elbo report RUN/checkpoints/step-430"});
  line.add()("out", "the page; default: report.html in the run's folder, of several runs in this one",
             cxxopts::value<std::string>());
  line.add()("no-traversals", "leave the traversals out, and the data unread");
  line.add_runtime();
  constexpr size_t kMostRuns = 32;
  if (!line.parse(words, 1, kMostRuns)) return 0;
  const auto& given = line.positional();
  auto out = line.find<std::string>("out").value_or("");
  if (out.empty()) {
    const bool in_run = given.size() == 1 && fs::exists(fs::path(given[0]) / "metrics.jsonl");
    out = in_run ? (fs::path(given[0]) / "report.html").string() : "report.html";
  }
  check_output_folder("out", out);
  const auto traversals = line.has("no-traversals") ? Traversals::leave_out : Traversals::draw;
  const auto runtime = line.runtime();
  std::vector<RunReport> runs;
  for (const auto& run : given) runs.push_back(read_run(run, runtime, traversals));
  make_titles_differ(runs);
  const auto page = report_html(runs, text("Written ", utc_now(), " by elbo ", kVersion, "."));
  write_atomically(out, page);
  for (const auto& run : runs) {
    for (const auto* list : {&run.remarks, &run.log.problems}) {
      for (const auto& remark : *list) log_warn(run.title + ": " + remark);
    }
  }
  std::cerr << count_of(static_cast<int64_t>(runs.size()), "run") << " in " << out << ", "
            << with_commas(static_cast<int64_t>(page.size() / 1024)) << " KB\n";
  return 0;
}

}  // namespace elbo
