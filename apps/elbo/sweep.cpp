#include "elbo/experiment/sweep.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <limits>
#include <thread>

#include "child.h"
#include "command.h"
#include "elbo/base/error.h"
#include "elbo/base/log.h"
#include "elbo/base/progress.h"
#include "elbo/base/text.h"
#include "elbo/config/dump.h"
#include "elbo/config/yaml.h"
#include "elbo/evaluation/metric.h"
#include "elbo/io/file.h"
#include "elbo/io/sha256.h"
#include "elbo/training/signals.h"

namespace elbo {
namespace {

namespace fs = std::filesystem;

/// What every run's commands have in common.
struct Shared {
  std::vector<std::string> runtime = {};  // --device, --data-root, --threads
  std::vector<std::string> measure = {};  // --metrics, --samples, --limit
  std::vector<std::string> splits = {"valid", "test"};
  int64_t threads = 1;
};

/// A run on its way: trained, then evaluated on each split, one process after the other.
struct Job {
  SweepRun run = {};
  fs::path config = {};
  std::string key = {};  // SHA-256 of all that decides its numbers
  ExperimentConfig experiment = {};
  size_t stage = 0;  // 0 trains, then a split each
  std::unique_ptr<Child> child = nullptr;
  bool ended = false;

  fs::path marker() const { return run.folder / "sweep.json"; }
  fs::path result(const std::string& split) const { return run.folder / ("sweep-" + split + ".json"); }
};

std::vector<std::string> words_of(const Job& job, const Shared& shared) {
  std::vector<std::string> words;
  if (job.stage == 0) {
    words = {"train", job.config.string(), "--run", job.run.folder.string(), "--resume"};
  } else {
    const auto& split = shared.splits[job.stage - 1];
    words = {"evaluate", job.run.folder.string(), "--split", split, "--json", job.result(split).string()};
    words.insert(words.end(), shared.measure.begin(), shared.measure.end());
  }
  words.insert(words.end(), shared.runtime.begin(), shared.runtime.end());
  return words;
}

Json read_json(const fs::path& path) {
  constexpr size_t kMaxBytes = size_t{1} << 24;
  return parse_json(read_text(path, kMaxBytes), path.string());
}

/// The metrics of a run that was finished by this sweep or an earlier start of it.
bool take_finished(Job& job) {
  if (!fs::exists(job.marker())) return false;
  try {
    const auto json = read_json(job.marker());
    if (json.value("key", "") != job.key) return false;
    for (const auto& [name, value] : json.at("metrics").items()) {
      job.run.metrics[name] = value.is_number() ? value.get<double>() : std::numeric_limits<double>::quiet_NaN();
    }
  } catch (const std::exception&) {
    return false;  // measured anew
  }
  return job.ended = true;
}

void finish(Job& job, const Shared& shared) {
  Json metrics = Json::object();
  for (const auto& split : shared.splits) {
    const auto result = read_json(job.result(split));
    for (const auto& [name, value] : result.at("metrics").items()) {
      if (name.find("_standard_error") != std::string::npos || !value.is_number()) continue;
      metrics[split + "/" + name] = value;
      job.run.metrics[split + "/" + name] = value.get<double>();
    }
  }
  write_atomically(job.marker(), Json{{"key", job.key}, {"metrics", metrics}}.dump(2) + "\n");
  job.ended = true;
}

/// The last "error: …" of a log.
std::string reason_in(const fs::path& log) {
  std::ifstream in(log);
  std::string reason;
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with("error: ")) reason = line.substr(7);
  }
  return reason;
}

/// How much of its training a run has behind it, from the last line of its metrics.jsonl.
double fraction_of(const Job& job) {
  if (job.ended || job.stage > 0) return 1;
  std::ifstream in(job.run.folder / "metrics.jsonl", std::ios::ate);
  if (!in) return 0;
  constexpr std::streamoff kTail = 4096;
  in.seekg(std::max<std::streamoff>(0, static_cast<std::streamoff>(in.tellg()) - kTail));
  const std::string tail((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  const auto& training = job.experiment.training;
  const std::string name = training.steps ? "\"step\":" : "\"epoch\":";
  const auto found = tail.rfind(name);
  if (found == std::string::npos) return 0;
  const double done = std::atof(tail.c_str() + found + name.size());
  return std::clamp(done / static_cast<double>(training.steps ? *training.steps : *training.epochs), 0.0, 0.99);
}

std::string name_of(const Job& job) { return (job.run.folder.parent_path().filename() / job.run.folder.filename()).string(); }

/// All runs, some at a time.
class Sweep {
 public:
  Sweep(std::vector<Job> jobs, Shared shared) : jobs_(std::move(jobs)), shared_(std::move(shared)) {}

  void run(int64_t at_once) {
    Progress progress("sweep", static_cast<int64_t>(jobs_.size()) * kParts, "");
    const auto parts_done = [&] {
      double done = 0;
      for (const auto& job : jobs_) done += fraction_of(job);
      return static_cast<int64_t>(done * kParts);
    };
    progress.update(parts_done());
    while (num_ended() < jobs_.size()) {
      if (stop_requested()) stop();
      for (auto& job : jobs_) {
        const bool waits = !job.ended && !job.child;
        if (waits && num_running() < at_once) start(job);
        if (job.child) look_after(job);
      }
      progress.update(parts_done(), text(num_ended(), " of ", jobs_.size(), " runs"));
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
    progress.finish(text(num_ended(), " of ", jobs_.size(), " runs"));
  }

  size_t num_ended() const {
    return static_cast<size_t>(std::count_if(jobs_.begin(), jobs_.end(), [](const Job& job) { return job.ended; }));
  }
  std::vector<SweepRun> runs() const {
    std::vector<SweepRun> all;
    for (const auto& job : jobs_) all.push_back(job.run);
    return all;
  }

 private:
  static constexpr int64_t kParts = 1000;  // of a run, for the bar

  int64_t num_running() const {
    return std::count_if(jobs_.begin(), jobs_.end(), [](const Job& job) { return job.child != nullptr; });
  }

  void start(Job& job) {
    const auto words = words_of(job, shared_);
    std::ofstream(job.run.log, std::ios::app) << "--- elbo " << join(words, " ") << "\n";
    job.child = std::make_unique<Child>(words, job.run.log, shared_.threads);
  }

  void look_after(Job& job) {
    const auto code = job.child->poll();
    if (!code) return;
    job.child.reset();
    if (*code == 0) {
      if (job.stage < shared_.splits.size()) {
        ++job.stage;
        start(job);
        return;
      }
      finish(job, shared_);
      log_info(text("finished ", name_of(job)));
      return;
    }
    job.ended = true;
    job.run.exit_code = *code;
    job.run.failed_in = job.stage == 0 ? "train" : "evaluate";
    job.run.reason = reason_in(job.run.log);
    log_warn(text(name_of(job), ": ", job.run.failed_in, " ended with ", *code,
                  job.run.reason.empty() ? "" : ": " + job.run.reason, "; ", job.run.log.string()));
  }

  /// Lets those that train write their checkpoints.
  [[noreturn]] void stop() {
    for (auto& job : jobs_) {
      if (job.child) job.child->terminate();
    }
    const auto running = [&] {
      return std::any_of(jobs_.begin(), jobs_.end(), [](Job& job) { return job.child && !job.child->poll(); });
    };
    while (running()) std::this_thread::sleep_for(std::chrono::milliseconds(20));
    throw Interrupted(text("stopped with ", num_ended(), " of ", jobs_.size(), " runs done; the same command goes on"));
  }

  std::vector<Job> jobs_;
  Shared shared_;
};

/// "3": the config's seed and those after it; "1,5,9": these.
std::vector<int64_t> seeds_of(const std::string& given, int64_t first) {
  constexpr int64_t kMaxSeed = 4294967295, kMaxCount = 10'000;
  const auto wrong = [&] {
    return UsageError("--seeds: got " + in_quotes(given) + ", expected how many (3) or which (1,5,9), each 0 to 4294967295");
  };
  std::vector<int64_t> seeds;
  for (const auto& part : split(given, ',')) {
    const auto digits = std::string(trim(part));
    if (digits.empty() || digits.size() > 10 || digits.find_first_not_of("0123456789") != std::string::npos) throw wrong();
    seeds.push_back(std::stoll(digits));
    if (seeds.back() > kMaxSeed || std::count(seeds.begin(), seeds.end(), seeds.back()) > 1) throw wrong();
  }
  if (given.find(',') != std::string::npos) return seeds;
  const auto count = seeds.front();
  if (count < 1 || count > kMaxCount || first + count - 1 > kMaxSeed) throw wrong();
  seeds.clear();
  for (int64_t i = 0; i < count; ++i) seeds.push_back(first + i);
  return seeds;
}

/// Another sweep's folder, a run's or a stranger's is not written into.
void check_folder(const fs::path& out) {
  if (!fs::exists(out)) return;
  if (!fs::is_directory(out)) throw UsageError("--out: " + out.string() + " is no folder");
  const bool empty = std::all_of(fs::directory_iterator(out), fs::directory_iterator(),
                                 [](const fs::directory_entry& entry) { return entry.path().filename() == ".lock"; });
  if (!empty && !fs::exists(out / "sweep.json"))
    throw UsageError("--out: " + out.string() + " is not empty and holds no sweep; choose another folder");
}

std::vector<std::string> metric_columns(const std::vector<SweepRun>& runs) {
  std::vector<std::string> names;
  for (const char* split : {"valid/", "test/"}) {
    for (const auto& run : runs) {
      for (const auto& entry : run.metrics) {
        const auto& name = entry.first;
        if (name.starts_with(split) && std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
      }
    }
  }
  return names;
}

}  // namespace

int run_sweep(const std::vector<std::string>& words) {
  CommandLine line(
      "sweep",
      "Trains and evaluates every combination of settings for several seeds, each a run of its own in a process of its "
      "own, and prints one table. The same command goes on where it was stopped or killed.",
      "CONFIG.yaml",
      {"elbo sweep configs/digits/vae.yaml --set objective.beta=0.5,1,4 --seeds 3",
       "elbo sweep configs/digits/vae.yaml --set 'model.encoder.hidden=[64],[128,64]' --set training.epochs=20 --out "
       "sweeps/width",
       "elbo sweep CONFIG.yaml --seeds 1,5,9 --metrics log_likelihood --samples 1000 --jobs 4"});
  line.add()("set", "KEY=VALUE or KEY=VALUE,VALUE,…, on top of the file; lists in brackets are one value; may be given again",
             cxxopts::value<std::vector<std::string>>());
  line.add()("seeds", "how many, from the config's seed on, or which, separated by commas",
             cxxopts::value<std::string>()->default_value("1"));
  line.add()("out", "folder of the sweep; default sweeps/<name>", cxxopts::value<std::string>());
  line.add()("jobs", "processes at once, which share the threads; 0: one a thread, 8 at most, one on CUDA",
             cxxopts::value<int64_t>()->default_value("0"));
  line.add()("metrics", "what is measured at the end, on valid and test; default: the config's", cxxopts::value<std::string>());
  line.add()("samples", "importance samples an example; default: the config's", cxxopts::value<int64_t>());
  line.add()("limit", "only the first N rows of each split; 0 for all", cxxopts::value<int64_t>()->default_value("0"));
  line.add()("quiet", "the table, warnings and errors only");
  line.add_runtime();
  if (!line.parse(words, 1, 1)) return 0;
  if (line.has("quiet")) set_log_level(LogLevel::warn);

  const auto assignments = line.find<std::vector<std::string>>("set").value_or(std::vector<std::string>{});
  SweepTable table{.plan = plan_sweep(assignments)};
  const auto settings = table.plan.settings();
  Shared shared;
  const auto metrics_given = line.find<std::string>("metrics");
  if (metrics_given) {
    for (const auto& name : split(*metrics_given, ',')) metrics().get(trim(name));
    shared.measure.insert(shared.measure.end(), {"--metrics", *metrics_given});
  }
  if (line.has("samples"))
    shared.measure.insert(shared.measure.end(), {"--samples", std::to_string(line.integer("samples", 1, 10'000'000))});
  const auto limit = line.integer("limit", 0, std::numeric_limits<int64_t>::max());
  if (limit > 0) shared.measure.insert(shared.measure.end(), {"--limit", std::to_string(limit)});
  const auto jobs_given = line.integer("jobs", 0, 4096);

  // Every config is read before anything starts: a wrong value is an error of the sweep, not of its last run.
  const fs::path file = line.positional()[0];
  std::vector<ExperimentConfig> configs;
  for (const auto& setting : settings) configs.push_back(load_experiment(file, setting.overrides));
  const auto seeds = seeds_of(line.get<std::string>("seeds"), configs.front().seed);
  const auto runtime = line.runtime();
  const fs::path out = line.find<std::string>("out").value_or((fs::path("sweeps") / configs.front().name).string());
  const auto num_runs = static_cast<int64_t>(settings.size() * seeds.size());
  constexpr int64_t kMostJobs = 8;
  const auto threads = static_cast<int64_t>(at::get_num_threads());
  const auto usual = runtime.device.is_cpu() ? std::min(threads, kMostJobs) : 1;
  const auto at_once = std::min(jobs_given > 0 ? jobs_given : usual, num_runs);
  shared.threads = std::max<int64_t>(1, threads / at_once);
  shared.runtime = {"--device",  line.get<std::string>("device"), "--data-root", runtime.data_root.string(),
                    "--threads", std::to_string(shared.threads)};

  check_folder(out);
  fs::create_directories(out);
  const FileLock lock(out / ".lock");
  write_atomically(out / "sweep.json", Json{{"config", file.string()}, {"set", assignments}, {"seeds", seeds}}.dump(2) + "\n");
  std::vector<Job> jobs;
  for (size_t i = 0; i < settings.size(); ++i) {
    const auto folder = out / settings[i].folder;
    fs::create_directories(folder);
    for (const auto seed : seeds) {
      auto config = configs[i];
      config.seed = seed;
      const auto name = "seed-" + std::to_string(seed);
      const auto resolved = to_yaml(dump_config(config));
      Job job{.run = {.setting = i, .seed = seed, .folder = folder / name, .log = folder / (name + ".log")},
              .config = folder / (name + ".yaml"),
              .key = sha256(resolved + join(shared.measure, " ")),
              .experiment = std::move(config)};
      write_atomically(job.config, resolved);
      take_finished(job);
      jobs.push_back(std::move(job));
    }
  }
  Sweep sweep(std::move(jobs), shared);
  log_info(text("sweep ", out.string(), ": ", count_of(static_cast<int64_t>(settings.size()), "setting"), " x ",
                count_of(static_cast<int64_t>(seeds.size()), "seed"), ", ", sweep.num_ended(), " of ", num_runs, " runs done, ",
                at_once, at_once == 1 ? " process at a time" : " processes at once"));
  {
    const SignalScope signals;
    if (sweep.num_ended() < static_cast<size_t>(num_runs)) sweep.run(at_once);
  }
  table.runs = sweep.runs();
  table.metrics = metric_columns(table.runs);
  write_atomically(out / "table.csv", table.csv());
  write_atomically(out / "table.json", table.json().dump(2) + "\n");
  write_output("-", table.text());
  const auto failed =
      std::count_if(table.runs.begin(), table.runs.end(), [](const SweepRun& run) { return run.exit_code.has_value(); });
  if (failed == 0) return 0;
  log_error(text(failed, " of ", count_of(num_runs, "run"), " failed; the same command tries them again"));
  return 1;
}

}  // namespace elbo
