#pragma once
#include <functional>

#include "elbo/evaluation/metric.h"
#include "elbo/models/abilities.h"
#include "elbo/models/family.h"

namespace elbo::detail {

/// Calls `visit` with every batch of the context's rows and the place of its first row, gradients off, modules in evaluation
/// mode.
void for_each_batch(const EvaluationContext& context, int64_t batch_size,
                    const std::function<void(const Batch&, int64_t first_row)>& visit);
/// The same with progress in rows under this name.
void for_each_batch(const EvaluationContext& context, std::string_view metric,
                    const std::function<void(const Batch&, int64_t first_row)>& visit);
int64_t num_rows(const EvaluationContext& context);

/// Throws: UsageError unless the field lies in [0, 1]; nothing where the data set isn't known yet.
void check_unit_data(const EvaluationContext& context, std::string_view metric, const std::string& field = "x");

/// "metric 'elbo' needs a variational model; this one is quantized and can sample, reconstruct".
[[noreturn]] void throw_unable(const Model& model, std::string_view metric, std::string_view needed);

/// The model as what a metric reads. Throws: UsageError.
template <class Ability>
Ability& as_ability(const EvaluationContext& context, std::string_view metric, std::string_view needed) {
  if (auto* able = dynamic_cast<Ability*>(&context.model)) return *able;
  throw_unable(context.model, metric, needed);
}
inline Variational& as_variational(const EvaluationContext& context, std::string_view metric) {
  return as_ability<Variational>(context, metric, "a variational model");
}

/// The model as one of several modalities; null where it is none, or has but one.
inline Multimodal* multimodal(const EvaluationContext& context) {
  auto* model = dynamic_cast<Multimodal*>(&context.model);
  return model && model->modalities().size() > 1 ? model : nullptr;
}

/// The context's noise, or granules of its seed.
class ContextNoise {
 public:
  explicit ContextNoise(const EvaluationContext& context, PlacedNoise* preferred = nullptr)
      : granules_(context.seed, context.device),
        noise_(preferred       ? preferred
               : context.noise ? context.noise
                               : static_cast<PlacedNoise*>(&granules_)) {}
  ContextNoise(const ContextNoise&) = delete;
  ContextNoise& operator=(const ContextNoise&) = delete;
  PlacedNoise& get() { return *noise_; }

 private:
  GranuleNoise granules_;
  PlacedNoise* noise_;
};

/// Values of [B] from batch after batch, as one [N] float64 on the host.
class Column {
 public:
  void add(const Tensor& values) { parts_.push_back(values.detach().to(at::kCPU, at::kDouble)); }
  Tensor whole() const { return torch::cat(parts_); }

 private:
  std::vector<Tensor> parts_ = {};
};

}  // namespace elbo::detail
