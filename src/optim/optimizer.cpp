#include "elbo/optim/optimizer.h"

namespace elbo {

Catalog<Optimizer, const OptimizerContext&>& optimizers() {
  static auto catalog = Catalog<Optimizer, const OptimizerContext&>("optimizer")
                            .add("adam", "Kingma & Ba 2015, algorithm 1", make_adam)
                            .add("adamw", "Loshchilov & Hutter 2019, algorithm 2", make_adamw)
                            .add("sgd", "Sutskever et al. 2013 (momentum)", make_sgd);
  return catalog;
}

}  // namespace elbo
