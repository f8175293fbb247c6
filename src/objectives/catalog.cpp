#include "elbo/objectives/capacity.h"
#include "elbo/objectives/ciwae.h"
#include "elbo/objectives/elbo.h"
#include "elbo/objectives/free_bits.h"
#include "elbo/objectives/hybrid.h"
#include "elbo/objectives/iwae.h"
#include "elbo/objectives/miwae.h"
#include "elbo/objectives/piwae.h"
#include "elbo/objectives/vq.h"

namespace elbo {

Catalog<Objective, Model&, const ObjectiveContext&>& objectives() {
  static auto catalog = Catalog<Objective, Model&, const ObjectiveContext&>("objective")
                            .add<BetaVaeConfig>("beta_vae", "Higgins et al. 2017, eq. 4", on_variational(make_beta_vae))
                            .add<CapacityConfig>("capacity", "Burgess et al. 2018, eq. 8", on_variational(make_capacity))
                            .add<CiwaeConfig>("ciwae", "Rainforth et al. 2018, combination (CIWAE)", on_variational(make_ciwae))
                            .add<ElboConfig>("elbo", "Kingma & Welling 2014, eq. 2", on_variational(make_elbo))
                            .add<FreeBitsConfig>("free_bits", "Kingma et al. 2016, appendix C.8", on_variational(make_free_bits))
                            .add<HybridConfig>("hybrid", "Sohn et al. 2015, eq. 7", on_variational(make_hybrid))
                            .add<IwaeConfig>("iwae", "Burda et al. 2016, eq. 8", on_variational(make_iwae))
                            .add<MiwaeConfig>("miwae", "Rainforth et al. 2018, multiply (MIWAE)", on_variational(make_miwae))
                            .add<PiwaeConfig>("piwae", "Rainforth et al. 2018, partially (PIWAE)", on_variational(make_piwae))
                            .add<VqObjectiveConfig>("vq", "van den Oord et al. 2017, eq. 3", on_quantized(make_vq_objective));
  return catalog;
}

}  // namespace elbo
