#pragma once
#include "elbo/distributions/distribution.h"

namespace elbo::detail {

inline int64_t event_dims(const Distribution& d) { return static_cast<int64_t>(d.event_shape().size()); }

/// The sum over the event of elements that broadcast to [..., batch..., event...].
Tensor sum_event(const Distribution& d, const Tensor& per_element);

/// Throws ShapeError unless `parameter` is 0-dim or shaped as `like`.
void check_parameter(const Tensor& parameter, const Tensor& like, std::string_view what);

/// Uniform numbers without the edges, so that logarithms of u and 1 - u are finite.
Tensor open_uniform(Noise& noise, at::IntArrayRef leading, at::IntArrayRef event);

/// log(1 - e^-h) for h > 0. Source: Mächler 2012, "Accurately computing log(1 - exp(-|a|))", eq. 7.
Tensor log1m_exp(const Tensor& h);

/// The smallest count whose Poisson distribution function exceeds u in [0, 1): a draw when u is uniform. By bisection, so without
/// a loop of rejections. Shapes: broadcast. float64 in and out.
Tensor poisson_quantile(const Tensor& rate, const Tensor& u);

/// The value at which the distribution function of Gamma(shape, scale 1) is u. Shapes: broadcast. float64 in and out.
Tensor gamma_quantile(const Tensor& shape, const Tensor& u);

}  // namespace elbo::detail
