#include "elbo/objectives/block_uncertainty.h"
#include "elbo/objectives/capacity.h"
#include "elbo/objectives/ciwae.h"
#include "elbo/objectives/dmvae.h"
#include "elbo/objectives/dual_branch.h"
#include "elbo/objectives/elbo.h"
#include "elbo/objectives/free_bits.h"
#include "elbo/objectives/hybrid.h"
#include "elbo/objectives/iwae.h"
#include "elbo/objectives/jmvae.h"
#include "elbo/objectives/lower_bound_guided.h"
#include "elbo/objectives/miwae.h"
#include "elbo/objectives/mm_jsd.h"
#include "elbo/objectives/mmvae_plus.h"
#include "elbo/objectives/mvtcae.h"
#include "elbo/objectives/nll.h"
#include "elbo/objectives/piwae.h"
#include "elbo/objectives/subset_elbo.h"
#include "elbo/objectives/telbo.h"
#include "elbo/objectives/vq.h"
#include "elbo/objectives/vqgan.h"

namespace elbo {

Catalog<Objective, Model&, const ObjectiveContext&>& objectives() {
  static auto catalog =
      Catalog<Objective, Model&, const ObjectiveContext&>("objective")
          .add<BetaVaeConfig>("beta_vae", "Higgins et al. 2017, eq. 4", on_variational(make_beta_vae))
          .add<BlockUncertaintyConfig>("block_uncertainty", "Minoza 2025 (arXiv:2504.14372), section 3",
                                       on_quantized(make_block_uncertainty))
          .add<CapacityConfig>("capacity", "Burgess et al. 2018, eq. 8", on_variational(make_capacity))
          .add<CiwaeConfig>("ciwae", "Rainforth et al. 2018, combination (CIWAE)", on_variational(make_ciwae))
          .add<DmvaeConfig>("dmvae", "Lee & Pavlovic 2021 (arXiv:2012.13024), eq. 6", on_multimodal(make_dmvae))
          .add<DualBranchConfig>("dual_branch", "Zhang et al. 2024 (arXiv:2405.10317), section 4",
                                 on_multimodal(make_dual_branch))
          .add<ElboConfig>("elbo", "Kingma & Welling 2014, eq. 2", on_variational(make_elbo))
          .add<FreeBitsConfig>("free_bits", "Kingma et al. 2016, appendix C.8", on_variational(make_free_bits))
          .add<HybridConfig>("hybrid", "Sohn et al. 2015, eq. 7", on_variational(make_hybrid))
          .add<IwaeConfig>("iwae", "Burda et al. 2016, eq. 8", on_variational(make_iwae))
          .add<JmvaeConfig>("jmvae", "Suzuki et al. 2016 (arXiv:1611.01891), eq. 5", on_multimodal(make_jmvae))
          .add<LowerBoundGuidedConfig>("lower_bound_guided", "Yu et al. 2025 (arXiv:2509.24142)",
                                       [](const LowerBoundGuidedConfig& config, Model& model, const ObjectiveContext& context) {
                                         return make_lower_bound_guided(
                                             config, as_family<AsymmetricVae>(model, "asymmetric", context), context);
                                       })
          .add<MiwaeConfig>("miwae", "Rainforth et al. 2018, multiply (MIWAE)", on_variational(make_miwae))
          .add<MmJsdConfig>("mm_jsd", "Sutter et al. 2020 (arXiv:2006.08242), eq. 7", on_multimodal(make_mm_jsd))
          .add<MmvaePlusConfig>("mmvae_plus", "Palumbo et al. 2023 (ICLR), eq. 6", on_multimodal(make_mmvae_plus))
          .add<MvtcaeConfig>("mvtcae", "Hwang et al. 2021 (NeurIPS), eq. 10", on_multimodal(make_mvtcae))
          .add<NoConfig>("nll", "van den Oord et al. 2017, section 3.3",
                         [](const NoConfig& config, Model& model, const ObjectiveContext& context) {
                           return make_nll(config, as_family<CodePriorModel>(model, "code_prior", context), context);
                         })
          .add<PiwaeConfig>("piwae", "Rainforth et al. 2018, partially (PIWAE)", on_variational(make_piwae))
          .add<SubsetElboConfig>("subset_elbo", "Wu & Goodman 2018 (arXiv:1802.05335), eq. 5", on_multimodal(make_subset_elbo))
          .add<TelboConfig>("telbo", "Vedantam et al. 2018 (arXiv:1705.10762)", on_multimodal(make_telbo))
          .add<VqObjectiveConfig>("vq", "van den Oord et al. 2017, eq. 3", on_quantized(make_vq_objective))
          .add<VqganConfig>("vqgan", "Esser et al. 2021 (arXiv:2012.09841), eqs. 4 to 7", on_quantized(make_vqgan));
  return catalog;
}

}  // namespace elbo
