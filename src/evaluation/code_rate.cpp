#include "elbo/evaluation/code_rate.h"

#include <cmath>

#include "elbo/base/text.h"
#include "elbo/models/code_prior.h"
#include "rows.h"

namespace elbo {
namespace {

class CodeRateMetric final : public Metric {
 public:
  void check(const EvaluationContext& context) const override { quantized(context); }

  std::vector<Measurement> evaluate(const EvaluationContext& context) const override {
    auto& model = quantized(context);
    detail::ContextNoise noise(context);
    const auto conditions = conditions_of(context.model);
    detail::Column bits, untold;
    double num_codes = 0, nominal = 0;
    detail::for_each_batch(context, "code_rate", [&](const Batch& batch, int64_t first_row) {
      noise.get().place(first_row, 0);
      const auto codes = model.codes(batch);
      bits.add(model.code_length(codes, batch, noise.get()) / M_LN2);
      if (!conditions.empty()) {
        auto without = batch;
        for (const auto& condition : conditions) without.fields.erase(condition);
        noise.get().place(first_row, 0);
        untold.add(model.code_length(codes, without, noise.get()) / M_LN2);
      }
      num_codes = nominal = 0;
      for (size_t i = 0; i < codes.size(); ++i) {
        const auto space = model.quantizers().at(i)->code_space();
        const auto codes_of_example = static_cast<double>(codes[i][0].numel());
        num_codes += codes_of_example;
        nominal += codes_of_example / static_cast<double>(space.groups()) * space.bits_per_token();
      }
    });
    auto rate = measure("code_rate", "bits", bits.whole());
    const Measurement per_code{.name = "code_rate", .unit = "bits_per_code", .value = rate.value / num_codes};
    std::vector<Measurement> measured = {rate, per_code};
    if (std::isfinite(nominal)) {  // else integers without bound
      measured.push_back({.name = "code_rate_share", .value = rate.value / nominal, .note = "of the nominal rate"});
    }
    if (conditions.empty()) return measured;
    measured.front().note = "given " + join(conditions, ", ");
    measured.push_back(measure("code_rate_untold", "bits", untold.whole()));
    measured.back().note = join(conditions, ", ") + " not given: what compressing an image takes";
    return measured;
  }

 private:
  static std::vector<std::string> conditions_of(const Model& model) {
    const auto* prior = dynamic_cast<const CodePriorModel*>(&model);
    return prior ? prior->conditions() : std::vector<std::string>{};
  }
  static Quantized& quantized(const EvaluationContext& context) {
    return detail::as_ability<Quantized>(context, "code_rate", "a model with codes");
  }
};

}  // namespace

std::shared_ptr<Metric> make_code_rate_metric(const NoConfig& /*config*/) { return std::make_shared<CodeRateMetric>(); }

}  // namespace elbo
