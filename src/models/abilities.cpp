#include "elbo/models/abilities.h"

namespace elbo {

Batch rows_without_fields(int64_t count) { return {.fields = {}, .index = torch::arange(count)}; }

}  // namespace elbo
