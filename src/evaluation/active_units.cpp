#include "elbo/evaluation/active_units.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <optional>

#include "elbo/base/error.h"
#include "elbo/base/text.h"
#include "elbo/distributions/kl.h"
#include "rows.h"

namespace elbo {
namespace {

/// Population covariance over rows of two estimates of the same thing, by Chan et al.'s pairwise update.
class Covariance {
 public:
  /// Shapes: a and b [B, D].
  void add(const Tensor& a, const Tensor& b) {
    const auto n = static_cast<double>(a.size(0));
    const auto mean_a = a.mean(0), mean_b = b.mean(0);
    const auto product = ((a - mean_a) * (b - mean_b)).sum(0);
    if (count_ == 0) {
      count_ = n;
      mean_a_ = mean_a;
      mean_b_ = mean_b;
      product_ = product;
      return;
    }
    const auto total = count_ + n;
    const auto step_a = mean_a - mean_a_, step_b = mean_b - mean_b_;
    product_ = product_ + product + step_a * step_b * (count_ * n / total);
    mean_a_ = mean_a_ + step_a * (n / total);
    mean_b_ = mean_b_ + step_b * (n / total);
    count_ = total;
  }
  Tensor value() const { return product_ / count_; }

 private:
  double count_ = 0;
  Tensor mean_a_, mean_b_, product_;
};

/// Average over samples and strata, unit by unit. Shapes: [K, B, D] or [S, K, B, D] -> [B, D].
Tensor average_of_units(const Latents& latents, const Tensor& t) {
  const auto B = t.size(-2), D = t.size(-1);
  Latents units;
  if (latents.log_weight.defined()) units.log_weight = latents.log_weight.unsqueeze(-1).expand({-1, 1, B, D}).flatten(-2);
  return average(units, t.flatten(-2)).reshape({B, D});
}

/// E_q[z | x] by its formula: [B, D]; nothing where the layer has none, or has it given a sampled layer above.
std::optional<Tensor> exact_mean(const Latent& layer) {
  if (layer.q->batch_shape().size() != 1) return std::nullopt;
  try {
    return layer.q->mean().flatten(1).to(at::kDouble);
  } catch (const UsageError&) {
    return std::nullopt;
  }
}

/// Two independent estimates of E_q[z | x] from the two halves of the samples. Their covariance over rows has the expectation of
/// Var_x(E_q[z | x]), while the variance of one of them would also hold a share of the posterior's own.
std::pair<Tensor, Tensor> sampled_means(const Latents& latents, const Latent& layer) {
  auto values = layer.z;  // [K, B, D] or [S, K, B, D]
  if (layer.q->batch_shape().size() > 1) {
    try {
      values = layer.q->mean();  // given the layer above: the same expectation with less noise
    } catch (const UsageError&) {
    }
  }
  values = values.flatten(values.dim() - static_cast<int64_t>(layer.q->event_shape().size())).to(at::kDouble);
  const auto halves = values.chunk(2, -3);
  return {average_of_units(latents, halves[0]), average_of_units(latents, halves[1])};
}

/// What one layer adds up to, batch after batch.
struct LayerSums {
  std::string name = {};
  Covariance means = {};
  Tensor kl_per_unit = {};
  double kl = 0;
  bool sampled = false;
  bool closed = true;
  bool splits = true;
};

void add_layer(LayerSums& sums, const Latents& latents, const Latent& layer) {
  sums.name = layer.name;
  if (const auto mean = exact_mean(layer)) {
    sums.means.add(*mean, *mean);
  } else {
    const auto [first, second] = sampled_means(latents, layer);
    sums.means.add(first, second);
    sums.sampled = true;
  }
  sums.closed = has_closed_form_kl(*layer.q, *layer.p);
  auto term = sums.closed ? kl(*layer.q, *layer.p) : monte_carlo_kl(*layer.q, *layer.p, layer.z);
  if (term.dim() > 1) term = average(latents, term);
  sums.kl += term.to(at::kDouble).sum().item<double>();
  sums.splits = sums.splits && sums.closed;
  if (!sums.splits) return;
  try {
    auto units = kl_per_unit(*layer.q, *layer.p).to(at::kDouble);
    units = units.flatten(units.dim() - static_cast<int64_t>(layer.q->event_shape().size()));  // [B, D] or [K, B, D]
    if (units.dim() > 2) units = average_of_units(latents, units);
    sums.kl_per_unit = sums.kl_per_unit.defined() ? sums.kl_per_unit + units.sum(0) : units.sum(0);
  } catch (const UsageError&) {
    sums.splits = false;
  }
}

bool needs_samples(const Latents& latents) {
  return std::any_of(latents.layers.begin(), latents.layers.end(), [](const Latent& layer) { return !exact_mean(layer); });
}

LayerActivity activity(const LayerSums& sums, int64_t num_rows, int64_t K) {
  LayerActivity layer{
      .name = sums.name, .variance_of_means = sums.means.value().cpu(), .kl = sums.kl / static_cast<double>(num_rows)};
  if (sums.splits) layer.kl_per_unit = (sums.kl_per_unit / num_rows).cpu();
  std::vector<std::string> notes;
  if (sums.sampled) notes.push_back(text("E_q[z | x] from ", K, " samples"));
  if (!sums.closed) {
    notes.push_back(text("KL by Monte Carlo from ", count_of(K, "sample")));
  } else if (!sums.splits) {
    notes.emplace_back("KL does not split over units");
  }
  layer.note = join(notes, "; ");
  return layer;
}

class ActiveUnitsMetric final : public Metric {
 public:
  void check(const EvaluationContext& context) const override { detail::as_variational(context, "active_units"); }

  std::vector<Measurement> evaluate(const EvaluationContext& context) const override {
    const auto panel = collapse_panel(context);
    std::vector<Measurement> measured = {{.name = "active_units", .value = static_cast<double>(panel.num_active())},
                                         {.name = "num_units", .value = static_cast<double>(panel.num_units())}};
    for (const auto& layer : panel.layers) {
      if (panel.layers.size() > 1) {
        measured.push_back({.name = "active_units_" + layer.name, .value = static_cast<double>(layer.num_active())});
      }
      if (!layer.note.empty())
        measured.front().note += (measured.front().note.empty() ? "" : "; ") + layer.name + ": " + layer.note;
    }
    return measured;
  }
};

/// One block character a unit by falling value; where there are more units than columns, the largest of each group.
std::string bars(Tensor values, int64_t columns) {
  static constexpr const char* kLevels[] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
  values = std::get<0>(values.sort(0, /*descending=*/true)).contiguous();
  const auto D = values.size(0);
  const auto* sorted = values.const_data_ptr<double>();
  const auto width = std::min(D, std::max<int64_t>(columns, 1));
  std::string line;
  for (int64_t i = 0; i < width; ++i) {
    const auto share = D > 0 && sorted[0] > 0 ? sorted[i * D / width] / sorted[0] : 0;
    line += kLevels[std::clamp(static_cast<int>(std::ceil(share * 8)) - 1, 0, 7)];
  }
  return line;
}

std::string fixed(double value, int digits) {
  char buffer[64];
  std::snprintf(buffer, sizeof(buffer), "%.*f", digits, value);
  return buffer;
}

}  // namespace

int64_t LayerActivity::num_active() const { return (variance_of_means > kActiveUnitThreshold).sum().item<int64_t>(); }

int64_t CollapsePanel::num_units() const {
  int64_t total = 0;
  for (const auto& layer : layers) total += layer.num_units();
  return total;
}

int64_t CollapsePanel::num_active() const {
  int64_t total = 0;
  for (const auto& layer : layers) total += layer.num_active();
  return total;
}

std::string CollapsePanel::str(int64_t columns) const {
  std::string panel;
  for (const auto& layer : layers) {
    const bool by_kl = layer.kl_per_unit.defined();
    const auto& values = by_kl ? layer.kl_per_unit : layer.variance_of_means;
    if (!panel.empty()) panel += '\n';
    panel += text(layer.name, ": ", layer.num_active(), " of ", layer.num_units(), " units active, KL ", fixed(layer.kl, 2),
                  " nats; ", by_kl ? "KL" : "variance of means", " by unit, largest ", fixed(values.max().item<double>(), 3));
    if (!layer.note.empty()) panel += text(" (", layer.note, ")");
    panel += "\n  " + bars(values, columns - 2);
  }
  return panel;
}

CollapsePanel collapse_panel(const EvaluationContext& context) {
  auto& model = detail::as_variational(context, "active_units");
  detail::ContextNoise noise(context);
  std::vector<LayerSums> sums;
  int64_t K = 1;
  detail::for_each_batch(context, "active_units", [&](const Batch& batch, int64_t first_row) {
    noise.get().place(first_row, 0);
    auto latents = model.infer(batch, K, noise.get());
    if (K == 1 && needs_samples(latents)) {
      K = GranuleNoise::kSamples;
      noise.get().place(first_row, 0);
      latents = model.infer(batch, K, noise.get());
    }
    sums.resize(latents.layers.size());
    for (size_t i = 0; i < sums.size(); ++i) add_layer(sums[i], latents, latents.layers[i]);
  });
  CollapsePanel panel;
  for (const auto& layer : sums) panel.layers.push_back(activity(layer, detail::num_rows(context), K));
  return panel;
}

std::shared_ptr<Metric> make_active_units_metric(const NoConfig&) { return std::make_shared<ActiveUnitsMetric>(); }

}  // namespace elbo
