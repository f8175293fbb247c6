#include "elbo/evaluation/codebook.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>
#include <unordered_map>

#include "elbo/base/text.h"
#include "elbo/quantizers/usage.h"
#include "rows.h"

namespace elbo {
namespace {

constexpr double kFewUsed = 0.05, kLowPerplexity = 0.02;

/// Counts of one group: an array where V is moderate, else of those that occur.
class CodeCounter {
 public:
  explicit CodeCounter(int64_t size) : size_(size) {
    constexpr int64_t kDense = 1 << 22;
    if (size_ > 0 && size_ <= kDense) dense_.resize(static_cast<size_t>(size_));
  }

  /// Shapes: codes int64 [n] on the host, those below 0 left out.
  void add(const Tensor& codes) {
    const auto flat = codes.contiguous();
    const auto* code = flat.const_data_ptr<int64_t>();
    for (int64_t i = 0; i < flat.numel(); ++i) {
      if (code[i] < 0) continue;
      if (dense_.empty()) {
        ++sparse_[code[i]];
      } else {
        ++dense_.at(static_cast<size_t>(code[i]));
      }
    }
  }
  CodeUsage usage() const {
    auto counts = dense_;
    for (const auto& [code, count] : sparse_) counts.push_back(count);
    return code_usage(std::move(counts), size_);
  }

 private:
  int64_t size_;
  std::vector<int64_t> dense_ = {};
  std::unordered_map<int64_t, int64_t> sparse_ = {};
};

/// Counts of whole rows of integers: codes without bound.
class RowCounter {
 public:
  /// Shapes: int64 [n, G] on the host.
  void add(const Tensor& rows) {
    const auto whole = rows.contiguous();
    const auto G = whole.size(1);
    const auto* row = whole.const_data_ptr<int64_t>();
    for (int64_t i = 0; i < whole.size(0); ++i) ++counts_[std::vector<int64_t>(row + i * G, row + (i + 1) * G)];
  }
  CodeUsage usage() const {
    std::vector<int64_t> counts;
    for (const auto& [row, count] : counts_) counts.push_back(count);
    return code_usage(std::move(counts), 0);
  }

 private:
  std::map<std::vector<int64_t>, int64_t> counts_ = {};
};

/// What one level adds up to, batch after batch.
struct LevelSums {
  std::string name = {};
  CodeSpace space = {};
  std::vector<CodeCounter> groups = {};
  RowCounter rows = {};
  int64_t num_examples = 0;
  int64_t num_tokens = 0;
  double squared = 0, norm = 0, elements = 0;
  bool comparable = true;

  LevelSums(std::string level, CodeSpace codes) : name(std::move(level)), space(std::move(codes)) {
    for (const auto size : space.sizes) groups.emplace_back(size);
  }

  void add(const CodeLevel& level) {
    const auto indices = level.quantization.indices.to(at::kCPU).flatten(0, -2);  // [n, G]
    num_examples += level.quantization.indices.size(0);
    num_tokens += indices.size(0);
    if (space.bounded()) {
      for (size_t g = 0; g < groups.size(); ++g) groups[g].add(indices.select(1, static_cast<int64_t>(g)));
    } else {
      rows.add(indices);
    }
    const auto error = quantization_error(level.tokens, level.quantization, space);
    comparable = comparable && error.squared.defined();
    if (!comparable) return;
    squared += error.squared.item<double>();
    norm += error.norm.item<double>();
    elements += static_cast<double>(level.quantization.value.numel());
  }

  LevelUsage usage() const {
    LevelUsage level{
        .name = name,
        .tokens_per_example = static_cast<double>(num_tokens) / static_cast<double>(std::max<int64_t>(num_examples, 1)),
        .bits_per_token = space.bits_per_token(),
        .squared_error = comparable ? squared / elements : NAN,
        .relative_error = comparable && norm > 0 ? squared / norm : NAN};
    if (!space.bounded()) {
      level.groups = {rows.usage()};
    } else {
      for (const auto& group : groups) level.groups.push_back(group.usage());
    }
    return level;
  }
};

Quantized& as_quantized(const EvaluationContext& context, std::string_view metric) {
  return detail::as_ability<Quantized>(context, metric, "a quantized model");
}

/// Calls `visit` with every batch and a step of evaluation whose noise is keyed by its place.
void for_each_step(const EvaluationContext& context, std::string_view metric,
                   const std::function<void(const Batch&, Step&)>& visit) {
  detail::ContextNoise noise(context);
  Streams streams(context.seed, context.device);
  Collective alone;
  detail::for_each_batch(context, metric, [&](const Batch& batch, int64_t first_row) {
    noise.get().place(first_row, 0);
    streams.rekey(first_row);
    Step step{.index_tensor = torch::zeros({}, torch::dtype(at::kLong).device(context.device)),
              .training = false,
              .noise = noise.get(),
              .streams = streams,
              .collective = alone};
    visit(batch, step);
  });
}

/// "codes", or of one of several groups "codes, group 2".
std::string group_name(const LevelUsage& level, size_t group) {
  return level.groups.size() > 1 ? text(level.name, ", group ", group) : level.name;
}

std::string short_number(double value) {
  char buffer[32];
  std::snprintf(buffer, sizeof buffer, "%.3g", value);
  return buffer;
}

std::string used_text(const CodeUsage& usage) {
  return usage.size > 0 ? text(with_commas(usage.used), " of ", with_commas(usage.size), " codes used (",
                               short_number(100 * usage.share_used()), " %)")
                        : text(with_commas(usage.used), " different codes");
}

/// The counts of the codes most often used, one block character each.
std::string count_bars(const std::vector<int64_t>& counts, int64_t columns) {
  static constexpr const char* kLevels[] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
  const auto n = static_cast<int64_t>(counts.size());
  std::string line;
  for (int64_t i = 0; i < std::min(n, columns); ++i) {
    const auto count = counts[static_cast<size_t>(i * n / std::min(n, columns))];
    const auto share = static_cast<double>(count) / static_cast<double>(std::max<int64_t>(counts[0], 1));
    line += count == 0 ? " " : kLevels[std::clamp(static_cast<int>(std::ceil(share * 8)) - 1, 0, 7)];
  }
  return line;
}

class CodebookMetric final : public Metric {
 public:
  void check(const EvaluationContext& context) const override { as_quantized(context, "codebook"); }
  std::vector<Measurement> evaluate(const EvaluationContext& context) const override {
    return measurements(codebook_panel(context));
  }
};

/// A number of every group: their mean, and of several the least and each.
class GroupNumbers {
 public:
  explicit GroupNumbers(const CodebookPanel& panel) : panel_(panel) {
    for (const auto& level : panel.levels) {
      for (const auto& group : level.groups) all_.push_back(&group);
    }
  }

  bool bounded() const {
    return std::all_of(all_.begin(), all_.end(), [](const CodeUsage* usage) { return usage->size > 0; });
  }

  template <class Number>
  void add(std::vector<Measurement>& measured, Measurement named, const Number& number) const {
    double sum = 0, least = INFINITY;
    for (const auto* usage : all_) {
      sum += number(*usage);
      least = std::min<double>(least, number(*usage));
    }
    const auto several = all_.size() > 1;
    const auto name = named.name, unit = named.unit;
    named.value = sum / static_cast<double>(all_.size());
    if (several) named.note = text("mean over ", all_.size(), " groups of codes");
    measured.push_back(std::move(named));
    if (!several) return;
    measured.push_back({.name = name + "_min", .unit = unit, .value = least});
    if (all_.size() > kMostTold) return;
    for (const auto& level : panel_.levels) {
      for (size_t g = 0; g < level.groups.size(); ++g) {
        auto own = name + (panel_.levels.size() > 1 ? "_" + level.name : "");
        if (level.groups.size() > 1) own += text("_", g);
        measured.push_back({.name = own, .unit = unit, .value = static_cast<double>(number(level.groups[g]))});
      }
    }
  }

 private:
  static constexpr size_t kMostTold = 16;
  const CodebookPanel& panel_;
  std::vector<const CodeUsage*> all_ = {};
};

/// What a level has as a whole, and the rates of an example.
void add_levels(const CodebookPanel& panel, std::vector<Measurement>& measured) {
  double tokens = 0, nominal = 0, entropy = 0;
  for (const auto& level : panel.levels) {
    const auto name = [&](const std::string& what) { return panel.levels.size() > 1 ? what + "_" + level.name : what; };
    if (std::isfinite(level.squared_error)) {
      measured.push_back({.name = name("quantization_error"), .value = level.squared_error, .note = "mean of an element of z"});
    }
    if (std::isfinite(level.relative_error)) {
      measured.push_back({.name = name("relative_quantization_error"), .value = level.relative_error});
    }
    tokens += static_cast<double>(level.groups.front().tokens);
    nominal += level.tokens_per_example * level.bits_per_token;
    for (const auto& group : level.groups) entropy += level.tokens_per_example * group.entropy;
  }
  measured.push_back({.name = "tokens", .value = tokens, .note = "that were counted, in each group"});
  if (std::isfinite(nominal)) {
    measured.push_back({.name = "nominal_rate", .unit = "bits", .value = nominal, .note = "an example's, all codes alike"});
  }
  measured.push_back(
      {.name = "entropy_rate", .unit = "bits", .value = entropy, .note = "an example's, each code as long as its share says"});
}

}  // namespace

double CodeUsage::perplexity() const { return std::exp2(entropy); }

double CodeUsage::share_used() const {
  return static_cast<double>(used) / static_cast<double>(std::max<int64_t>(size > 0 ? size : tokens, 1));
}

bool CodeUsage::has_collapsed() const {
  if (tokens < 2) return false;
  const auto possible = static_cast<double>(size > 0 ? std::min(size, tokens) : tokens);
  if (possible < 2) return false;
  if (used == 1) return true;
  if (size == 0) return false;  // there is no number of codes that ought to occur
  return static_cast<double>(used) < kFewUsed * possible || perplexity() < kLowPerplexity * possible;
}

CodeUsage code_usage(std::vector<int64_t> counts, int64_t size) {
  CodeUsage usage{.size = size};
  std::sort(counts.begin(), counts.end(), std::greater<>());
  while (!counts.empty() && counts.back() == 0) counts.pop_back();
  for (const auto count : counts) usage.tokens += count;
  usage.used = static_cast<int64_t>(counts.size());
  const auto total = static_cast<double>(usage.tokens);
  for (const auto count : counts)
    usage.entropy -= static_cast<double>(count) / total * std::log2(static_cast<double>(count) / total);
  usage.entropy = std::max(usage.entropy, 0.0);
  counts.resize(std::min(counts.size(), CodeUsage::kMostCounts));
  usage.largest = std::move(counts);
  return usage;
}

std::string CodebookPanel::str(int64_t columns) const {
  std::string panel;
  for (const auto& level : levels) {
    for (size_t g = 0; g < level.groups.size(); ++g) {
      const auto& usage = level.groups[g];
      panel += text(panel.empty() ? "" : "\n", group_name(level, g), ": ", used_text(usage), ", perplexity ",
                    short_number(usage.perplexity()), ", ", with_commas(usage.tokens), " tokens");
      if (std::isfinite(level.relative_error)) panel += text(", relative error ", short_number(level.relative_error));
      panel += "\n  " + count_bars(usage.largest, columns - 2);
    }
  }
  return panel;
}

std::string CodebookPanel::warning() const {
  for (const auto& level : levels) {
    for (size_t g = 0; g < level.groups.size(); ++g) {
      const auto& usage = level.groups[g];
      if (!usage.has_collapsed()) continue;
      return text("codebook '", group_name(level, g), "' has collapsed: ", used_text(usage), ", perplexity ",
                  short_number(usage.perplexity()), " over ", with_commas(usage.tokens),
                  " tokens. What often helps: quantizer ema (its revival replaces codes that nothing uses), sim_vq or fsq; init: "
                  "kmeans; fewer codes; a smaller code_size");
    }
  }
  return {};
}

CodebookPanel codebook_panel(const EvaluationContext& context) {
  auto& model = as_quantized(context, "codebook");
  std::vector<LevelSums> sums;
  for_each_step(context, "codebook", [&](const Batch& batch, Step& step) {
    const auto levels = model.quantize(batch, step);
    if (sums.empty()) {
      const auto quantizers = model.quantizers();
      for (size_t i = 0; i < levels.size(); ++i) sums.emplace_back(levels[i].name, quantizers.at(i)->code_space());
    }
    for (size_t i = 0; i < levels.size(); ++i) sums[i].add(levels[i]);
  });
  CodebookPanel panel;
  for (const auto& level : sums) panel.levels.push_back(level.usage());
  return panel;
}

std::vector<Measurement> measurements(const CodebookPanel& panel) {
  const GroupNumbers groups(panel);
  std::vector<Measurement> measured;
  if (groups.bounded()) {
    groups.add(measured, {.name = "code_usage", .note = "share of the codes that occur, over the whole split"},
               [](const CodeUsage& usage) { return usage.share_used(); });
    groups.add(measured, {.name = "dead_codes"}, [](const CodeUsage& usage) { return usage.size - usage.used; });
  } else {
    groups.add(measured, {.name = "codes_used", .note = "codes have no bound"},
               [](const CodeUsage& usage) { return usage.used; });
  }
  groups.add(measured, {.name = "code_perplexity"}, [](const CodeUsage& usage) { return usage.perplexity(); });
  groups.add(measured, {.name = "code_entropy", .unit = "bits"}, [](const CodeUsage& usage) { return usage.entropy; });
  add_levels(panel, measured);
  return measured;
}

Tensor quantized_bound(const EvaluationContext& context) {
  auto& model = as_quantized(context, "bits_per_dim");
  detail::Column bounds;
  for_each_step(context, "bound", [&](const Batch& batch, Step& step) {
    const auto levels = model.quantize(batch, step);
    std::vector<Tensor> values, codes;
    for (const auto& level : levels) {
      values.push_back(level.quantization.value);
      codes.push_back(level.quantization.indices);
    }
    bounds.add(log_likelihood(model.decode(values, batch)).to(at::kDouble) - model.code_length(codes, batch, step.noise));
  });
  return bounds.whole();
}

std::shared_ptr<Metric> make_codebook_metric(const NoConfig&) { return std::make_shared<CodebookMetric>(); }

}  // namespace elbo
