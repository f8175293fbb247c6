#include "sign_quantizer.h"

#include "elbo/math/precision.h"
#include "elbo/quantizers/codebook.h"
#include "elbo/quantizers/tokens.h"

namespace elbo::detail {

SignQuantizer::SignQuantizer(const SignQuantizerParts& parts, at::Device device)
    : name_(parts.name),
      codes_(parts.codes),
      commitment_("commitment", parts.commitment, device),
      commitment_mean_(parts.commitment_mean),
      entropy_(parts.entropy, parts.entropy_scale, device),
      move_(parts.move) {}

Quantization SignQuantizer::forward(const Tensor& z, Step&, const Tensor& mask) {
  check_tokens(z, mask, codes_.size, name_);
  const auto tokens = moved(fill_left_out(full_precision(z), mask, 0));
  const auto code = codes_.nearest(tokens);
  Quantization result{.value = fill_left_out(pass_gradient(tokens, code, GradientEstimator::straight_through), mask, 0),
                      .indices = fill_left_out(codes_.indices(tokens), mask, -1)};
  if (move_) result.target = tokens.detach();
  const auto elements = elements_of(z);
  result.terms.push_back(
      {.name = "commitment",
       .value = squared_error(tokens, code, mask),
       .weight = commitment_.tensor(),
       .elements = commitment_mean_ == CommitmentMean::tokens ? elements / static_cast<double>(codes_.size) : elements});
  entropy_.add_terms(result, tokens * codes_.scale, mask);
  return result;
}

Tensor SignQuantizer::encode(const Tensor& z) {
  check_tokens(z, {}, codes_.size, name_);
  return codes_.indices(moved(full_precision(z)));
}

Tensor SignQuantizer::codebook(int64_t /*group*/) { return codes_.codebook(commitment_.tensor().device()); }

std::vector<Scheduled> SignQuantizer::scheduled() {
  auto all = entropy_.scheduled();
  all.insert(all.begin(), commitment_);
  return all;
}

std::string_view SignQuantizer::couples_batch_by() const {
  return entropy_.couples_batch() ? "the entropy of the batch's codes" : "";
}

}  // namespace elbo::detail
