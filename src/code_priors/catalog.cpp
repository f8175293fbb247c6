#include "elbo/code_priors/code_prior.h"
#include "elbo/code_priors/gated_pixel_cnn.h"
#include "elbo/code_priors/masked_transformer.h"
#include "elbo/code_priors/pixel_cnn.h"
#include "elbo/code_priors/pixel_snail.h"
#include "elbo/code_priors/transformer.h"

namespace elbo {

Catalog<CodePrior, const CodePriorContext&>& code_priors() {
  static auto catalog =
      Catalog<CodePrior, const CodePriorContext&>("code_prior")
          .add("gated_pixel_cnn", "van den Oord et al. 2016 (arXiv:1606.05328)", make_gated_pixel_cnn)
          .add<MaskedTransformerConfig>("masked_transformer", "Chang et al. 2022, section 3", make_masked_transformer)
          .add("pixel_cnn", "van den Oord, Kalchbrenner & Kavukcuoglu 2016 (arXiv:1601.06759)", make_pixel_cnn)
          .add("pixel_snail", "Chen et al. 2017 (arXiv:1712.09763)", make_pixel_snail)
          .add<TransformerPriorConfig>("transformer", "Esser et al. 2021, section 3.2", make_transformer_prior);
  return catalog;
}

}  // namespace elbo
