#include "elbo/models/conditional_vae.h"
#include "elbo/models/model.h"
#include "elbo/models/vae.h"

namespace elbo {

Catalog<Model, const ModelContext&>& models() {
  static auto catalog = Catalog<Model, const ModelContext&>("model")  //
                            .add("conditional_vae", "Sohn et al. 2015 (NeurIPS)", make_conditional_vae)
                            .add("vae", "Kingma & Welling 2014 (arXiv:1312.6114)", make_vae);
  return catalog;
}

}  // namespace elbo
