#include "elbo/quantizers/bsq.h"

#include <cmath>

#include "elbo/base/error.h"
#include "elbo/quantizers/codebook.h"
#include "sign_quantizer.h"

namespace elbo {

void BsqConfig::check(Relations& relations) const {
  if (const auto problem = detail::sign_codes_problem(code_size, groups); !problem.empty()) relations.problem("groups", problem);
}

std::shared_ptr<Quantizer> make_bsq(const BsqConfig& config, const QuantizerContext& context) {
  const auto problem = detail::sign_codes_problem(config.code_size, config.groups);
  if (!problem.empty()) throw ConfigError("quantizer bsq: " + problem);
  return std::make_shared<detail::SignQuantizer>(
      detail::SignQuantizerParts{.name = "bsq",
                                 .codes = {config.code_size, config.groups, 1 / std::sqrt(static_cast<double>(config.code_size))},
                                 .commitment = config.commitment,
                                 .commitment_mean = detail::CommitmentMean::tokens,
                                 .entropy = {config.temperature, config.entropy, config.diversity, config.entropy_bits},
                                 .entropy_scale = detail::EntropyScale::temperature,
                                 .move = [](const Tensor& z) { return unit_rows(z); }},
      context.device);
}

}  // namespace elbo
