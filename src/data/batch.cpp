#include "elbo/data/batch.h"

#include "elbo/base/error.h"
#include "elbo/base/text.h"

namespace elbo {

const Tensor& Batch::at(const std::string& name) const {
  if (const auto found = fields.find(name); found != fields.end()) return found->second.value;
  std::vector<std::string> names;
  for (const auto& [key, field] : fields) names.push_back(key);
  throw UsageError("the data has no field '" + name + "'" + did_you_mean(name, names, "it has " + join(names, ", ")));
}

}  // namespace elbo
