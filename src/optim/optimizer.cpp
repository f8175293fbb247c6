#include "elbo/optim/optimizer.h"

namespace elbo {

Catalog<Optimizer, const OptimizerContext&>& optimizers() {
  static auto catalog = Catalog<Optimizer, const OptimizerContext&>("optimizer")
                            .add("adagrad", "Duchi, Hazan & Singer 2011, figure 1", make_adagrad)
                            .add("adam", "Kingma & Ba 2015, algorithm 1", make_adam)
                            .add("adamax", "Kingma & Ba 2015, algorithm 2", make_adamax)
                            .add("adamw", "Loshchilov & Hutter 2019, algorithm 2", make_adamw)
                            .add("rmsprop", "Tieleman & Hinton 2012; centred: Graves 2013", make_rmsprop)
                            .add("sgd", "Sutskever et al. 2013 (momentum)", make_sgd);
  return catalog;
}

}  // namespace elbo
