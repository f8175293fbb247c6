#include "vq_pass.h"

#include <algorithm>

#include "elbo/quantizers/usage.h"

namespace elbo::detail {
namespace {

/// -log p(x | values), as it is optimised and as it is reported. Shapes: [B].
struct CodeDistortion {
  Tensor optimised = {};
  Tensor reported = {};
};

double elements_per_example(const std::vector<Observation>& observations) {
  double elements = 0;
  for (const auto& observation : observations) elements += static_cast<double>(observation.target[0].numel());
  return elements;
}

bool has_continuous(const std::vector<CodeLevel>& levels) {
  return std::any_of(levels.begin(), levels.end(),
                     [](const CodeLevel& level) { return level.quantization.continuous.defined(); });
}

/// Whether the codes of this pass are what would be sent, so that their length is what they cost.
bool draws_codes(const Quantization& quantization, const Step& step) {
  return quantization.indices.defined() && !(step.training && quantization.log_probs.defined());
}

/// What an example's codes cost, in nats. Shapes: [B].
Tensor rate_of(const Quantization& quantization, const Quantizer& quantizer, const Step& step) {
  if (draws_codes(quantization, step)) return quantizer.code_length(quantization.indices);
  auto rate = torch::zeros({quantization.value.size(0)}, quantization.value.options().dtype(torch::kFloat));
  for (const auto& term : quantization.terms) {
    if (term.name == "kl" || term.name.ends_with("/kl")) rate = rate + term.value.detach();
  }
  return rate;
}

/// Means over groups of what the codes of the batch look like.
std::vector<Term> usage_terms(const CodeLevel& level, const CodeSpace& space) {
  std::vector<Term> terms;
  const auto& quantization = level.quantization;
  if (quantization.indices.defined()) {
    std::vector<Tensor> perplexities, usages;
    const auto groups = batch_usages(quantization.indices, space);
    for (size_t g = 0; g < groups.size(); ++g) {
      perplexities.push_back(groups[g].perplexity);
      usages.push_back(space.bounded() ? groups[g].used / static_cast<double>(space.sizes[g]) : groups[g].used);
    }
    terms.push_back({"batch_perplexity", torch::stack(perplexities).mean()});
    terms.push_back({"batch_usage", torch::stack(usages).mean()});
  }
  if (const auto error = quantization_error(level.tokens, quantization, space); error.squared.defined()) {
    terms.push_back({"relative_error", (error.squared / error.norm.clamp_min(1e-30)).to(torch::kFloat)});
  }
  return terms;
}

CodeDistortion distortion_of(const std::vector<Observation>& observations) {
  const auto optimised = log_likelihood(observations);
  return {.optimised = -optimised, .reported = -reported_log_likelihood(observations, optimised).detach()};
}

void add_terms(LossTerms& result, const CodeLevel& level, const std::string& prefix, VqReduction reduction) {
  for (const auto& term : level.quantization.terms) {
    auto weighted = term.weight.defined() ? term.value * term.weight : term.value;
    if (reduction == VqReduction::mean) weighted = weighted / term.elements;
    if (term.value.dim() == 0) {
      result.batch_loss = result.batch_loss.defined() ? result.batch_loss + weighted : weighted;
    } else {
      result.loss = result.loss + weighted;
    }
    result.terms.push_back({prefix + term.name, term.value.detach()});
  }
}

}  // namespace

VqPass vq_pass(Quantized& model, const Batch& batch, Step& step, VqReduction reduction, double likelihood_weight) {
  VqPass pass;
  const auto levels = model.quantize(batch, step);
  const auto quantizers = model.quantizers();
  std::vector<Tensor> values;
  for (const auto& level : levels) values.push_back(level.quantization.value);
  pass.observations = model.decode(values, batch);
  pass.elements = elements_per_example(pass.observations);
  const auto distortion = distortion_of(pass.observations);
  auto optimised = distortion.optimised;
  auto& result = pass.losses;
  result.terms = {{"bound", {}}, {"reconstruction", distortion.reported}};
  if (has_continuous(levels)) {
    for (size_t i = 0; i < levels.size(); ++i) {
      if (levels[i].quantization.continuous.defined()) values[i] = levels[i].quantization.continuous;
    }
    pass.continuous = model.decode(values, batch);
    const auto continuous = distortion_of(pass.continuous);
    optimised = (optimised + continuous.optimised) / 2;
    result.terms.push_back({"reconstruction_continuous", continuous.reported});
  }
  pass.distortion = reduction == VqReduction::mean ? optimised / pass.elements : optimised;
  if (likelihood_weight != 1) pass.distortion = likelihood_weight * pass.distortion;
  result.loss = pass.distortion;

  auto bound = -distortion.reported;
  for (size_t i = 0; i < levels.size(); ++i) {
    bound = bound - rate_of(levels[i].quantization, *quantizers.at(i), step);
    const auto prefix = levels.size() > 1 ? levels[i].name + "_" : "";
    add_terms(result, levels[i], prefix, reduction);
    for (auto& term : usage_terms(levels[i], quantizers[i]->code_space())) {
      result.terms.push_back({prefix + term.name, term.value});
    }
    for (const auto& reading : levels[i].quantization.readings)
      result.terms.push_back({prefix + reading.name, reading.value.detach()});
  }
  result.terms.front().value = bound.detach();
  return pass;
}

bool holds_pictures(const FieldSpec& field) {
  return field.shape.size() == 3 && (field.kind == ValueKind::unit || field.kind == ValueKind::binary);
}

std::vector<Scheduled> scheduled_of(Quantized& model) {
  std::vector<Scheduled> all;
  for (auto* quantizer : model.quantizers()) {
    for (auto& number : quantizer->scheduled()) all.push_back(number);
  }
  return all;
}

}  // namespace elbo::detail
