#include "elbo/quantizers/quantizer.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "elbo/math/upload.h"

namespace elbo {

bool CodeSpace::bounded() const {
  return std::all_of(sizes.begin(), sizes.end(), [](int64_t size) { return size > 0; });
}

double CodeSpace::bits_per_token() const {
  if (!bounded()) return std::numeric_limits<double>::quiet_NaN();
  double bits = 0;
  for (const auto size : sizes) bits += std::log2(static_cast<double>(size));
  return bits;
}

Tensor Quantizer::code_length(const Tensor& indices) const {
  const auto sizes = code_space().sizes;
  std::vector<double> nats;
  for (const auto size : sizes) nats.push_back(std::log(static_cast<double>(size)));
  const auto of_group = upload(torch::tensor(nats, torch::kDouble), indices.device());
  return sum_after(indices.ge(0).to(torch::kDouble) * of_group, 1).to(torch::kFloat);
}

}  // namespace elbo
