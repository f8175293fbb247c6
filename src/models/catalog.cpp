#include "elbo/models/asymmetric_vae.h"
#include "elbo/models/code_prior.h"
#include "elbo/models/conditional_vae.h"
#include "elbo/models/mcquic.h"
#include "elbo/models/model.h"
#include "elbo/models/multimodal_vae.h"
#include "elbo/models/vae.h"
#include "elbo/models/vq_vae.h"
#include "elbo/models/vq_vae_2.h"

namespace elbo {

Catalog<Model, const ModelContext&>& models() {
  static auto catalog = Catalog<Model, const ModelContext&>("model")
                            .add("asymmetric_vae", "Yu et al. 2025 (arXiv:2509.24142)", make_asymmetric_vae)
                            .add("code_prior", "van den Oord et al. 2017, section 3.3", make_code_prior)
                            .add("conditional_vae", "Sohn et al. 2015 (NeurIPS)", make_conditional_vae)
                            .add("mcquic", "Zhu et al. 2022 (arXiv:2203.10897)", make_mcquic)
                            .add("multimodal_vae", "Wu & Goodman 2018 (arXiv:1802.05335); Sutter et al. 2021 (arXiv:2105.02470)",
                                 make_multimodal_vae)
                            .add("vae", "Kingma & Welling 2014 (arXiv:1312.6114)", make_vae)
                            .add("vq_vae", "van den Oord et al. 2017 (arXiv:1711.00937)", make_vq_vae)
                            .add("vq_vae_2", "Razavi et al. 2019 (arXiv:1906.00446)", make_vq_vae_2);
  return catalog;
}

}  // namespace elbo
