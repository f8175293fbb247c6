#include "elbo/quantizers/quantizer.h"

namespace elbo {

Catalog<Quantizer, const QuantizerContext&>& quantizers() {
  static auto catalog = Catalog<Quantizer, const QuantizerContext&>("quantizer");
  return catalog;
}

}  // namespace elbo
