#pragma once
#include <functional>
#include <vector>

#include "elbo/math/shapes.h"

namespace elbo {

/// Runs an update unless found_inf (0-dim) is 1, for optimisers whose kernels don't take the flag themselves. On the host the
/// flag is read and the update left out; elsewhere nothing is read: it runs, and `changed` gets its old bits back.
void guarded_update(const Tensor& found_inf, const std::vector<Tensor>& changed, const std::function<void()>& update);

namespace detail {
/// The second way, on any device.
void masked_update(const Tensor& found_inf, const std::vector<Tensor>& changed, const std::function<void()>& update);
}  // namespace detail

}  // namespace elbo
