#pragma once
#include <memory>
#include <string>
#include <vector>

#include "code_priors/prior_checks.h"
#include "elbo/code_priors/gated_pixel_cnn.h"
#include "elbo/code_priors/pixel_cnn.h"
#include "elbo/code_priors/pixel_snail.h"

/// Small networks of every convolutional prior, and which codes their logits can depend on.
namespace elbo::convolutional_priors {

using PriorPtr = std::shared_ptr<AutoregressiveCodePrior>;

/// Of three layers' kernels: one of entry_kernel, two of kernel.
struct SmallKernels {
  int64_t entry_kernel = 3;
  int64_t kernel = 3;
};

inline PriorPtr small_prior(const std::string& name, const CodePriorContext& context, const SmallKernels& size = {}) {
  const auto [entry, kernel] = size;
  PriorPtr prior;
  if (name == "pixel_cnn") {
    prior = make_pixel_cnn({.width = 16, .layers = 2, .entry_kernel = entry, .kernel = kernel, .above_layers = 1}, context);
  } else if (name == "gated_pixel_cnn") {
    prior = make_gated_pixel_cnn({.width = 16, .layers = 3, .entry_kernel = entry, .kernel = kernel, .above_layers = 1}, context);
  } else {
    prior = make_pixel_snail({.width = 16,
                              .blocks = name == "pixel_snail" ? 2 : 1,
                              .layers = 1,
                              .entry_kernel = entry,
                              .kernel = kernel,
                              .attention = name == "pixel_snail",
                              .heads = 2,
                              .above_layers = 1},
                             context);
  }
  prior_checks::scatter_parameters(*prior, 0.2);
  return prior;
}

/// Codes at (i, j) seen from (y, x) by convolutions of the rows above and of the row so far, one of entry_kernel without the
/// place itself and `inner` of `kernel` with it.
struct Sight {
  SmallKernels kernels = {};
  int64_t inner = 2;

  bool causal(int64_t up, int64_t left) const {
    // left may be negative: to the right. After the entry went up a rows and b columns right, others go on.
    std::vector<std::pair<int64_t, int64_t>> seen = steps(kernels.entry_kernel, false);
    for (int64_t i = 0; i < inner; ++i) {
      std::vector<std::pair<int64_t, int64_t>> further;
      for (const auto& [a, b] : seen) {
        for (const auto& [c, d] : steps(kernels.kernel, true)) further.emplace_back(a + c, b + d);
      }
      seen = further;
    }
    return std::find(seen.begin(), seen.end(), std::pair{up, left}) != seen.end();
  }
  /// Two stacks: all of a box above, and the row so far.
  bool box(int64_t up, int64_t left) const {
    const auto radius = kernels.entry_kernel / 2 + inner * (kernels.kernel / 2);
    if (up == 0) return left >= 1 && left <= radius;
    return up >= 1 && up <= radius + 1 && std::abs(left) <= radius;
  }

 private:
  static std::vector<std::pair<int64_t, int64_t>> steps(int64_t kernel, bool own) {
    std::vector<std::pair<int64_t, int64_t>> all;
    const auto half = kernel / 2;
    for (int64_t left = own ? 0 : 1; left <= half; ++left) all.emplace_back(0, left);
    for (int64_t up = 1; up <= half; ++up) {
      for (int64_t left = -half; left <= half; ++left) all.emplace_back(up, left);
    }
    return all;
  }
};

/// Whether small_prior's logits at place i see the code at an earlier place j.
inline bool sees(const std::string& name, int64_t width, int64_t j, int64_t i, const SmallKernels& kernels = {}) {
  if (name == "pixel_snail") return true;
  const auto up = i / width - j / width, left = i % width - j % width;
  const Sight sight{.kernels = kernels};
  return name == "gated_pixel_cnn" ? sight.box(up, left) : sight.causal(up, left);
}

}  // namespace elbo::convolutional_priors
