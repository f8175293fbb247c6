#include "elbo/quantizers/lfq.h"

#include "elbo/base/error.h"
#include "sign_quantizer.h"

namespace elbo {

void LfqConfig::check(Relations& relations) const {
  if (const auto problem = detail::sign_codes_problem(code_size, groups); !problem.empty()) relations.problem("groups", problem);
}

std::shared_ptr<Quantizer> make_lfq(const LfqConfig& config, const QuantizerContext& context) {
  const auto problem = detail::sign_codes_problem(config.code_size, config.groups);
  if (!problem.empty()) throw ConfigError("quantizer lfq: " + problem);
  return std::make_shared<detail::SignQuantizer>(
      detail::SignQuantizerParts{.name = "lfq",
                                 .codes = {config.code_size, config.groups, 1},
                                 .commitment = config.commitment,
                                 .entropy = {config.temperature, config.entropy, config.diversity, config.entropy_bits},
                                 .entropy_scale = detail::EntropyScale::one},
      context.device);
}

}  // namespace elbo
