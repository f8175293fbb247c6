#include "elbo/quantizers/fsq.h"
#include "elbo/quantizers/quantizer.h"
#include "elbo/quantizers/vq.h"

namespace elbo {

Catalog<Quantizer, const QuantizerContext&>& quantizers() {
  static auto catalog = Catalog<Quantizer, const QuantizerContext&>("quantizer")
                            .add<FsqConfig>("fsq", "Mentzer et al. 2024, section 3.1", make_fsq)
                            .add<VqConfig>("vq", "van den Oord et al. 2017, eqs. 1 to 3", make_vq);
  return catalog;
}

}  // namespace elbo
