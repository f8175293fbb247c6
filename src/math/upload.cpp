#include "elbo/math/upload.h"

#include <torch/types.h>

namespace elbo {

Tensor upload(const Tensor& host, at::Device device) {
  if (device.is_cpu() || !host.is_cpu()) return host.to(device);
  constexpr bool kNonBlocking = true;
  return (device.is_cuda() ? host.pin_memory() : host).to(device, kNonBlocking);  // page-locked memory is kept until it was read
}

}  // namespace elbo
