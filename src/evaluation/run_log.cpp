#include "elbo/evaluation/run_log.h"

#include <algorithm>
#include <fstream>
#include <limits>
#include <map>

#include "elbo/base/json.h"
#include "elbo/base/text.h"

namespace elbo {
namespace {

constexpr size_t kMostProblems = 8;

/// The integer of a key. Throws: DataError.
int64_t integer_at(const Json& line, const char* key) {
  const auto found = line.find(key);
  if (found == line.end() || !found->is_number_integer()) throw DataError(text("no integer ", in_quotes(key)));
  return found->get<int64_t>();
}

std::vector<double> numbers(const Json& list) {
  std::vector<double> values;
  for (const auto& value : list) values.push_back(value.is_number() ? value.get<double>() : 0);
  return values;
}

class LogReader {
 public:
  explicit LogReader(RunLog& log) : log_(log) {}

  /// Throws: DataError saying what is wrong with the line.
  void add(const Json& line) {
    if (!line.is_object()) throw DataError("not a JSON object");
    const auto step = integer_at(line, "step"), epoch = integer_at(line, "epoch");
    const auto split = line.find("split");
    if (split == line.end() || !split->is_string()) throw DataError("no text 'split'");
    log_.last_step = std::max(log_.last_step, step);
    log_.last_epoch = std::max(log_.last_epoch, epoch);
    if (line.contains("variance_of_means")) return add_units(line, step);
    if (line.contains("codebooks")) return add_codebooks(line["codebooks"], step);
    for (const auto& [name, value] : line.items()) {
      if (name == "step" || name == "epoch" || name == "split" || (!value.is_number() && !value.is_null())) continue;
      series(split->get<std::string>(), name)
          .points.push_back({step, value.is_null() ? std::numeric_limits<double>::quiet_NaN() : value.get<double>()});
    }
  }

 private:
  void add_units(const Json& line, int64_t step) {
    if (step < log_.units_step || !line["variance_of_means"].is_object()) return;
    log_.units_step = step;
    log_.units.clear();
    for (const auto& [layer, variance] : line["variance_of_means"].items()) {
      LoggedUnits units{.layer = layer, .variance_of_means = numbers(variance)};
      if (line.contains("kl_per_unit") && line["kl_per_unit"].is_object() && line["kl_per_unit"].contains(layer)) {
        units.kl = numbers(line["kl_per_unit"][layer]);
        if (units.kl.size() != units.variance_of_means.size()) units.kl.clear();
      }
      log_.units.push_back(std::move(units));
    }
  }

  void add_codebooks(const Json& codebooks, int64_t step) {
    if (step < log_.codebooks_step || !codebooks.is_object()) return;
    log_.codebooks_step = step;
    log_.codebooks.clear();
    for (const auto& [name, codebook] : codebooks.items()) {
      LoggedCodebook logged{.name = name,
                            .size = integer_at(codebook, "size"),
                            .tokens = integer_at(codebook, "tokens"),
                            .used = integer_at(codebook, "used")};
      const auto perplexity = codebook.find("perplexity"), counts = codebook.find("largest_counts");
      if (perplexity != codebook.end() && perplexity->is_number()) logged.perplexity = perplexity->get<double>();
      if (counts != codebook.end() && counts->is_array()) logged.largest_counts = numbers(*counts);
      log_.codebooks.push_back(std::move(logged));
    }
  }

  LoggedSeries& series(const std::string& split, const std::string& name) {
    const auto [place, is_new] = places_.try_emplace({split, name}, log_.series.size());
    if (is_new) log_.series.push_back({.split = split, .name = name});
    return log_.series[place->second];
  }

  RunLog& log_;
  std::map<std::pair<std::string, std::string>, size_t> places_ = {};
};

/// By step; of values at one step the last that was written stands.
void put_in_order(std::vector<LoggedSeries::Point>& points) {
  std::stable_sort(points.begin(), points.end(), [](const auto& a, const auto& b) { return a.step < b.step; });
  std::vector<LoggedSeries::Point> kept;
  for (const auto& point : points) {
    if (!kept.empty() && kept.back().step == point.step) kept.pop_back();
    kept.push_back(point);
  }
  points = std::move(kept);
}

}  // namespace

const LoggedSeries* RunLog::find(std::string_view split, std::string_view name) const {
  const auto found =
      std::find_if(series.begin(), series.end(), [&](const auto& one) { return one.split == split && one.name == name; });
  return found == series.end() ? nullptr : &*found;
}

RunLog read_run_log(const std::filesystem::path& metrics_jsonl) {
  RunLog log;
  const auto name = metrics_jsonl.filename().string();
  std::ifstream in(metrics_jsonl);
  if (!in) {
    log.problems.push_back(name + ": not there, or unreadable: no curves");
    return log;
  }
  LogReader reader(log);
  size_t num_broken = 0;
  int64_t number = 0;
  for (std::string line; std::getline(in, line);) {
    ++number;
    if (trim(line).empty()) continue;
    try {
      reader.add(parse_json(line, "this line"));
    } catch (const std::exception& error) {
      if (++num_broken <= kMostProblems) log.problems.push_back(text(name, ":", number, ": left out: ", error.what()));
    }
  }
  if (num_broken > kMostProblems) {
    log.problems.push_back(text(name, ": ", num_broken - kMostProblems, " more lines left out"));
  }
  for (auto& one : log.series) put_in_order(one.points);
  return log;
}

}  // namespace elbo
