#include "elbo/objectives/elbo.h"
#include "elbo/objectives/iwae.h"

namespace elbo {

Catalog<Objective, Model&, const ObjectiveContext&>& objectives() {
  static auto catalog = Catalog<Objective, Model&, const ObjectiveContext&>("objective")
                            .add<BetaVaeConfig>("beta_vae", "Higgins et al. 2017, eq. 4", on_variational(make_beta_vae))
                            .add<ElboConfig>("elbo", "Kingma & Welling 2014, eq. 2", on_variational(make_elbo))
                            .add<IwaeConfig>("iwae", "Burda et al. 2016, eq. 8", on_variational(make_iwae));
  return catalog;
}

}  // namespace elbo
