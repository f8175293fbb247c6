#include "elbo/evaluation/subsets.h"

#include "elbo/base/error.h"
#include "elbo/base/text.h"

namespace elbo {

std::string subset_name(const Subset& subset) { return join(subset, ","); }

SubsetChoice subsets_named(std::string_view word) {
  for (const auto& [name, family] : enum_names(Subsets{})) {
    if (trim(word) == name) return family;
  }
  std::vector<Subset> listed;
  for (const auto& part : split(word, ';')) {
    Subset subset;
    for (const auto& name : split(part, ',')) subset.emplace_back(trim(name));
    for (const auto& name : subset) {
      if (!name.empty()) continue;
      throw UsageError(text("subsets: got ", in_quotes(word),
                            ", expected all, singles, full or names such as 'image;image,label' (in quotes, because of the ;)"));
    }
    listed.push_back(std::move(subset));
  }
  return listed;
}

}  // namespace elbo
