#include "elbo/evaluation/bits_per_dim.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "elbo/base/error.h"
#include "elbo/base/text.h"
#include "elbo/evaluation/codebook.h"
#include "elbo/evaluation/likelihood.h"
#include "elbo/evaluation/variational_bound.h"
#include "elbo/models/code_prior.h"
#include "rows.h"

namespace elbo {
namespace {

using namespace std::string_view_literals;

// By the distribution's own name: what isn't here is refused rather than guessed, as a wrong offset is off by whole bits.
constexpr std::array kMasses = {
    "bernoulli"sv,   "categorical"sv,       "discretized_logistic"sv, "discretized_logistic_mixture"sv,
    "grey_levels"sv, "negative_binomial"sv, "one_hot_categorical"sv,  "poisson"sv};
constexpr std::array kDensities = {"continuous_bernoulli"sv, "laplace"sv, "log_normal"sv, "logit_laplace"sv,
                                   "multivariate_normal"sv,  "normal"sv,  "student_t"sv,  "transformed"sv};

double offset_of(PixelProbability probability, int64_t levels) {
  switch (probability) {
    case PixelProbability::mass:
      return 0;
    case PixelProbability::density:
      return std::log2(static_cast<double>(levels));
    case PixelProbability::symmetric_density:
      return std::log2(static_cast<double>(levels)) - 1;
  }
  throw UsageError("an unknown PixelProbability");
}

struct Scale {
  int64_t dims = 0;
  PixelProbability probability = PixelProbability::mass;
  int64_t levels = 0;

  std::string note() const {
    const auto what = text(dims, " dimensions of ", levels, levels == 2 ? " values" : " grey levels");
    if (probability == PixelProbability::mass) return "probabilities of " + what + ", nothing added";
    return text("a density on [0, 1] of ", what, ", log2 ", levels, " = ",
                shortest(std::round(offset_of(probability, levels) * 1e4) / 1e4),
                " bits added; it bounds the bits of the grey levels only where the data are dequantised");
  }
};

const FieldSpec& field_of(const EvaluationContext& context) {
  const auto found = context.dataset->spec().find("x");
  if (found == context.dataset->spec().end()) throw UsageError("metric 'bits_per_dim' needs a data set with a field x");
  return found->second;
}

/// The levels behind a value of x. Throws: UsageError where the data have none.
int64_t levels_of(const FieldSpec& field) {
  if (field.kind == ValueKind::binary) return 2;
  if (field.kind == ValueKind::category && field.num_classes >= 2) return field.num_classes;
  if (field.levels >= 2) return field.levels;
  throw UsageError(
      "metric 'bits_per_dim' needs data of known grey levels (bytes, or binary values); x is real-valued, and its nats have no "
      "scale that would compare with anything");
}

Scale scale_of(const FieldSpec& field, const Observation& observation) {
  const auto name = observation.likelihood->name();
  const auto among = [&](const auto& names) { return std::find(names.begin(), names.end(), name) != names.end(); };
  Scale scale{.dims = observation.target[0].numel(), .levels = levels_of(field)};
  if (name == "bernoulli" && field.kind != ValueKind::binary) {
    throw UsageError(
        "metric 'bits_per_dim': the cross-entropy of grey values (bernoulli with allow_unit) is no likelihood and has no bits");
  }
  if (among(kDensities) && field.kind == ValueKind::binary) {
    throw UsageError(text("metric 'bits_per_dim': a density (", name, ") of values that are 0 or 1 has no bits of its own"));
  }
  if (!among(kMasses) && !among(kDensities)) {
    throw UsageError(text("metric 'bits_per_dim' doesn't know whether ", in_quotes(name), " is a density or a probability"));
  }
  scale.probability = among(kMasses) ? PixelProbability::mass : PixelProbability::density;
  return scale;
}

std::vector<Observation> observations_of(Model& model, const Batch& batch, Noise& noise) {
  if (auto* variational = dynamic_cast<Variational*>(&model))
    return variational->decode(variational->infer(batch, 1, noise), batch);
  auto& quantized = dynamic_cast<Quantized&>(model);
  const auto codes = quantized.codes(batch);
  const auto quantizers = quantized.quantizers();
  std::vector<Tensor> values;
  for (size_t i = 0; i < codes.size(); ++i) values.push_back(quantizers.at(i)->decode(codes[i]));
  return quantized.decode(values, batch);
}

/// From the first row: which distribution the decoder gives.
Scale scale_of(const EvaluationContext& context) {
  auto first = context;
  first.limit = 1;
  first.progress = {};
  Scale scale;
  detail::ContextNoise noise(context);
  detail::for_each_batch(first, 1, [&](const Batch& batch, int64_t) {
    noise.get().place(0, 0);
    const auto observations = observations_of(context.model, batch, noise.get());
    if (observations.size() != 1) {
      throw UsageError(
          text("metric 'bits_per_dim' needs a model of x alone; this one has ", observations.size(), " observations"));
    }
    scale = scale_of(field_of(context), observations.front());
  });
  return scale;
}

class BitsPerDimMetric final : public Metric {
 public:
  void check(const EvaluationContext& context) const override {
    if (!dynamic_cast<Quantized*>(&context.model)) detail::as_variational(context, "bits_per_dim");
    if (context.dataset) levels_of(field_of(context));
  }

  std::vector<Measurement> evaluate(const EvaluationContext& context) const override {
    check(context);
    const auto scale = scale_of(context);
    const auto in_bits = [&](std::string name, const Tensor& log_prob, const std::string& of) {
      auto measured =
          measure(std::move(name), "bits_per_dim", bits_per_dim(-log_prob, scale.dims, scale.probability, scale.levels));
      measured.note = of + "; " + scale.note();
      return measured;
    };
    if (dynamic_cast<Quantized*>(&context.model)) {
      const auto* learnt = dynamic_cast<const CodePriorModel*>(&context.model);
      const auto conditions = learnt ? learnt->conditions() : std::vector<std::string>{};
      return {in_bits("bound", quantized_bound(context),
                      !learnt              ? "codes as long as they are before a prior is learnt"
                      : conditions.empty() ? "codes as long as the prior makes them"
                                           : "codes as long as the prior makes them, given " + join(conditions, ", "))};
    }
    auto bound = in_bits("elbo", bound_terms(context).elbo, "of the one-sample bound");
    if (context.samples == 1) return {bound};
    return {bound, in_bits("log_likelihood", importance_log_likelihood(context).per_example,
                           text("of the likelihood by ", count_of(context.samples, "importance sample")))};
  }
};

}  // namespace

Tensor bits_per_dim(const Tensor& nats, int64_t dims, PixelProbability probability, int64_t levels) {
  if (dims < 1 || levels < 2) {
    throw UsageError(text("bits_per_dim: got ", dims, " dimensions of ", levels, " levels, expected at least 1 of 2"));
  }
  return nats / (static_cast<double>(dims) * M_LN2) + offset_of(probability, levels);
}

std::shared_ptr<Metric> make_bits_per_dim_metric(const NoConfig&) { return std::make_shared<BitsPerDimMetric>(); }

}  // namespace elbo
