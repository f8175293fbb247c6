#include "rows.h"

#include <algorithm>

#include "elbo/base/error.h"
#include "elbo/base/text.h"
#include "elbo/data/loader.h"
#include "elbo/evaluation/evaluator.h"

namespace elbo::detail {

int64_t num_rows(const EvaluationContext& context) {
  if (!context.dataset) throw UsageError("an evaluation needs a data set");
  const auto all = context.dataset->size(context.split);
  return context.limit > 0 ? std::min(context.limit, all) : all;
}

void for_each_batch(const EvaluationContext& context, int64_t batch_size,
                    const std::function<void(const Batch&, int64_t)>& visit) {
  if (num_rows(context) < 1) throw UsageError("an evaluation needs at least one row");
  const EvaluationMode mode({&context.model, context.objective});
  const SequentialLoader loader(context.dataset, context.split, batch_size, context.limit);
  int64_t first_row = 0;
  for (int64_t i = 0; i < loader.num_batches(); ++i) {
    const auto batch = loader.at(i);
    visit(batch, first_row);
    first_row += batch.size();
  }
}

void for_each_batch(const EvaluationContext& context, std::string_view metric,
                    const std::function<void(const Batch&, int64_t)>& visit) {
  const auto total = num_rows(context);
  for_each_batch(context, context.batch_size, [&](const Batch& batch, int64_t first_row) {
    visit(batch, first_row);
    if (context.progress) {
      context.progress({.metric = metric, .done = first_row + batch.size(), .total = total, .unit = "img"});
    }
  });
}

void check_unit_data(const EvaluationContext& context, std::string_view metric, const std::string& field) {
  if (!context.dataset || !context.dataset->spec().contains(field)) return;
  const auto kind = context.dataset->spec().at(field).kind;
  if (kind == ValueKind::binary || kind == ValueKind::unit) return;
  throw UsageError(text("metric '", metric, "' needs data in [0, 1]; ", field, " is ",
                        kind == ValueKind::real       ? "real numbers"
                        : kind == ValueKind::category ? "classes"
                                                      : "a table"));
}

void throw_unable(const Model& model, std::string_view metric, std::string_view needed) {
  std::vector<std::string> abilities;
  if (dynamic_cast<const Samples*>(&model)) abilities.emplace_back("sample");
  if (dynamic_cast<const Reconstructs*>(&model)) abilities.emplace_back("reconstruct");
  if (dynamic_cast<const Encodes*>(&model)) abilities.emplace_back("encode");
  throw UsageError(text("metric '", metric, "' needs ", needed, "; this model is ", model.family(), " and can ",
                        abilities.empty() ? "do nothing beyond that" : join(abilities, ", ")));
}

}  // namespace elbo::detail
