#include "elbo/data/kind_name.h"

namespace elbo {

std::string_view kind_name(ValueKind kind) {
  switch (kind) {
    case ValueKind::binary:
      return "binary";
    case ValueKind::unit:
      return "unit";
    case ValueKind::real:
      return "real";
    case ValueKind::category:
      return "category";
    case ValueKind::table:
      return "table";
  }
  return "";
}

}  // namespace elbo
