#pragma once
#include "elbo/math/step.h"

namespace elbo::conformance {

/// The same numbers on every device: drawn on the host.
class HostNoise final : public Noise {
 public:
  HostNoise(int64_t step, at::Device device) : stream_(17, "conformance", at::kCPU), device_(device) { stream_.rekey(step); }
  Tensor normal(at::IntArrayRef leading, at::IntArrayRef event) override { return stream_.normal(leading, event).to(device_); }
  Tensor uniform(at::IntArrayRef leading, at::IntArrayRef event) override { return stream_.uniform(leading, event).to(device_); }

 private:
  Stream stream_;
  at::Device device_;
};

/// A step of training whose numbers are those of every device.
struct HostStep {
  HostStep(int64_t step, at::Device device)
      : noise(step, device),
        streams(1, device),
        now{.index = step,
            .index_tensor = torch::full({}, step, torch::dtype(at::kLong).device(device)),
            .noise = noise,
            .streams = streams,
            .collective = collective} {}
  HostNoise noise;
  Streams streams;
  Collective collective = {};
  Step now;
};

}  // namespace elbo::conformance
