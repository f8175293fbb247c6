#include "elbo/code_priors/code_prior.h"
#include "elbo/code_priors/transformer.h"

namespace elbo {

Catalog<CodePrior, const CodePriorContext&>& code_priors() {
  static auto catalog = Catalog<CodePrior, const CodePriorContext&>("code_prior")
                            .add<TransformerPriorConfig>("transformer", "Esser et al. 2021, section 3.2", make_transformer_prior);
  return catalog;
}

}  // namespace elbo
