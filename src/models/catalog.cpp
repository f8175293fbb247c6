#include "elbo/models/model.h"
#include "elbo/models/vae.h"

namespace elbo {

Catalog<Model, const ModelContext&>& models() {
  static auto catalog = Catalog<Model, const ModelContext&>("model")  //
                            .add("vae", "Kingma & Welling 2014 (arXiv:1312.6114)", make_vae);
  return catalog;
}

}  // namespace elbo
