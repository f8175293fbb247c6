#pragma once
#include "elbo/math/collective.h"
#include "elbo/math/random.h"

namespace elbo {

/// What one training or evaluation step hands to the mathematics.
struct Step {
  int64_t index = 0;  // host copies: for logs and control, never for mathematics
  int64_t epoch = 0;
  Tensor index_tensor = {};  // 0-dim int64 on the device: for mathematics
  bool training = true;
  /// Where latents are drawn from: the stream `noise` in training, granules keyed by their place in evaluation.
  Noise& noise;
  /// Dropout and other draws inside networks.
  Streams& streams;
  Collective& collective;
};

/// A module that changes its buffers once a step, after the optimisers; a quantiser its own codes too, even where they are
/// parameters, and nothing else any parameters. After a non-finite step the trainer puts back what was changed.
class Stepped {
 public:
  virtual ~Stepped() = default;
  virtual void after_step(const Step& step) = 0;
};

}  // namespace elbo
