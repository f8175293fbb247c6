#include "elbo/aggregators/joint.h"
#include "elbo/aggregators/moe.h"
#include "elbo/aggregators/mopoe.h"
#include "elbo/aggregators/poe.h"
#include "elbo/aggregators/unimodal.h"

namespace elbo {

Catalog<Aggregator, const AggregatorContext&>& aggregators() {
  static auto catalog = Catalog<Aggregator, const AggregatorContext&>("aggregator")
                            .add("joint", "Suzuki et al. 2016 (arXiv:1611.01891), section 2.2", make_joint)
                            .add("moe", "Shi et al. 2019 (arXiv:1911.03393), section 3", make_moe)
                            .add("mopoe", "Sutter et al. 2021 (arXiv:2105.02470), eq. 3", make_mopoe)
                            .add("poe", "Wu & Goodman 2018 (arXiv:1802.05335), section 2.2", make_poe)
                            .add("unimodal", "Daunhawer et al. 2022 (arXiv:2110.04121), section 3", make_unimodal);
  return catalog;
}

}  // namespace elbo
