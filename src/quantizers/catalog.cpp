#include "elbo/quantizers/bsq.h"
#include "elbo/quantizers/cvq.h"
#include "elbo/quantizers/ema.h"
#include "elbo/quantizers/fsq.h"
#include "elbo/quantizers/gaussian_quant.h"
#include "elbo/quantizers/gumbel.h"
#include "elbo/quantizers/lattice.h"
#include "elbo/quantizers/lfq.h"
#include "elbo/quantizers/mcquic.h"
#include "elbo/quantizers/multi_group.h"
#include "elbo/quantizers/optvq.h"
#include "elbo/quantizers/product.h"
#include "elbo/quantizers/quantizer.h"
#include "elbo/quantizers/residual.h"
#include "elbo/quantizers/sim_vq.h"
#include "elbo/quantizers/soft_ema.h"
#include "elbo/quantizers/vaevq.h"
#include "elbo/quantizers/vq.h"

namespace elbo {

Catalog<Quantizer, const QuantizerContext&>& quantizers() {
  static auto catalog =
      Catalog<Quantizer, const QuantizerContext&>("quantizer")
          .add<BsqConfig>("bsq", "Zhao et al. 2025, section 4", make_bsq)
          .add<CvqConfig>("cvq", "Zheng & Vedaldi 2023, eqs. 4 to 8", make_cvq)
          .add<EmaConfig>("ema", "van den Oord et al. 2017, appendix A.1", make_ema)
          .add<FsqConfig>("fsq", "Mentzer et al. 2024, section 3.1", make_fsq)
          .add<GaussianQuantConfig>("gaussian_quant", "Xu et al. 2025", make_gaussian_quant)
          .add<GumbelConfig>("gumbel", "Jang et al. 2017; Ramesh et al. 2021, section 2.1", make_gumbel)
          .add<LatticeConfig>("lattice", "Khalil et al. 2023, section 3", make_lattice)
          .add<LfqConfig>("lfq", "Yu et al. 2024, section 3.2", make_lfq)
          .add<McquicQuantizerConfig>("mcquic", "Zhu et al. 2022 (arXiv:2203.10897), section 3", make_mcquic_quantizer)
          .add<MultiGroupConfig>("multi_group", "Jia et al. 2025, section 3", make_multi_group)
          .add<OptvqConfig>("optvq", "Zhang et al. 2024, section 3", make_optvq)
          .add<ProductConfig>("product", "Jegou et al. 2011, section II-B", make_product)
          .add<ResidualConfig>("residual", "Zeghidour et al. 2021, section III-C; Lee et al. 2022", make_residual)
          .add<SimVqConfig>("sim_vq", "Zhu et al. 2024, section 3.2", make_sim_vq)
          .add<SoftEmaConfig>("soft_ema", "Minoza 2025 (arXiv:2504.14372), published code", make_soft_ema)
          .add<VaevqConfig>("vaevq", "Yang et al. 2025", make_vaevq)
          .add<VqConfig>("vq", "van den Oord et al. 2017, eqs. 1 to 3", make_vq);
  return catalog;
}

}  // namespace elbo
