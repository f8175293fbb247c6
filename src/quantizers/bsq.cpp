#include "elbo/quantizers/bsq.h"

#include <cmath>

#include "elbo/base/error.h"
#include "elbo/math/couples_batch.h"
#include "elbo/math/precision.h"
#include "elbo/quantizers/codebook.h"
#include "elbo/quantizers/tokens.h"
#include "sign_codes.h"

namespace elbo {
namespace {

class Bsq final : public Quantizer, public CouplesBatch {
 public:
  Bsq(const BsqConfig& config, const QuantizerContext& context)
      : codes_{config.code_size, config.groups, 1 / std::sqrt(static_cast<double>(config.code_size))},
        commitment_("commitment", config.commitment, context.device),
        entropy_({config.temperature, config.entropy, config.diversity, config.entropy_bits}, detail::EntropyScale::temperature,
                 context.device) {}

  Quantization forward(const Tensor& z, Step&, const Tensor& mask) override {
    check_tokens(z, mask, codes_.size, "bsq");
    const auto u = unit_rows(fill_left_out(full_precision(z), mask, 0));
    const auto code = codes_.nearest(u);
    Quantization result{.value = fill_left_out(pass_gradient(u, code, GradientEstimator::straight_through), mask, 0),
                        .indices = fill_left_out(codes_.indices(u), mask, -1)};
    result.target = u.detach();
    result.terms.push_back({.name = "commitment",
                            .value = squared_error(u, code, mask),
                            .weight = commitment_.tensor(),
                            .elements = elements_of(z)});
    entropy_.add_terms(result, u * codes_.scale, mask);
    return result;
  }

  Tensor encode(const Tensor& z) override {
    check_tokens(z, {}, codes_.size, "bsq");
    return codes_.indices(unit_rows(full_precision(z)));
  }
  Tensor decode(const Tensor& indices) override { return codes_.decode(indices); }
  CodeSpace code_space() const override { return codes_.space(); }
  Tensor codebook(int64_t) override { return codes_.codebook(commitment_.tensor().device()); }
  std::vector<Scheduled> scheduled() override {
    auto all = entropy_.scheduled();
    all.insert(all.begin(), commitment_);
    return all;
  }
  std::string_view couples_batch_by() const override {
    return entropy_.couples_batch() ? "the entropy of the batch's codes" : "";
  }

 private:
  detail::SignCodes codes_;
  Scheduled commitment_;
  detail::SignEntropy entropy_;
};

}  // namespace

void BsqConfig::check(Relations& relations) const {
  if (const auto problem = detail::sign_codes_problem(code_size, groups); !problem.empty()) relations.problem("groups", problem);
}

std::shared_ptr<Quantizer> make_bsq(const BsqConfig& config, const QuantizerContext& context) {
  const auto problem = detail::sign_codes_problem(config.code_size, config.groups);
  if (!problem.empty()) throw ConfigError("quantizer bsq: " + problem);
  return std::make_shared<Bsq>(config, context);
}

}  // namespace elbo
