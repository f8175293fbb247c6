#include "field_kinds.h"

#include "elbo/base/error.h"
#include "elbo/base/text.h"

namespace elbo::detail {
namespace {

/// What the data are, and the likelihood made for them.
std::string_view advice(const FieldSpec& field) {
  switch (field.kind) {
    case ValueKind::binary:
      return "zeros and ones; use likelihood 'bernoulli'";
    case ValueKind::unit:
      return field.levels > 0 ? "grey levels in [0, 1]; use likelihood 'discretized_logistic', 'categorical' or 'normal'"
                              : "real numbers in [0, 1]; use likelihood 'continuous_bernoulli' or 'normal'";
    case ValueKind::real:
      return "real numbers; use likelihood 'normal'";
    case ValueKind::category:
      return "classes; use likelihood 'categorical'";
    case ValueKind::table:
      return "a table; use likelihood 'table'";
  }
  return "";
}

}  // namespace

void refuse_unless_numbers(std::string_view likelihood, const FieldSpec& field) {
  if (field.kind == ValueKind::category) {
    throw ConfigError(
        text("likelihood '", likelihood, "': the data are class indices, which have no density; use likelihood 'categorical'"));
  }
  if (field.kind == ValueKind::table) {
    throw ConfigError(text("likelihood '", likelihood,
                           "': the data are a table, whose columns are of several kinds; use likelihood 'table' and choose ",
                           "there what each column has"));
  }
}

void throw_wrong_kind(std::string_view likelihood, std::string_view needed, const FieldSpec& field) {
  throw ConfigError(text("likelihood '", likelihood, "': needs ", needed, ", got ", advice(field)));
}

}  // namespace elbo::detail
