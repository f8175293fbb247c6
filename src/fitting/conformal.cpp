#include "elbo/fitting/conformal.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "elbo/base/error.h"
#include "elbo/base/text.h"
#include "elbo/math/blocks.h"

namespace elbo {
namespace {

/// ceil of a product such as 20 * (1 - 0.05), which rounding may leave a little above 19.
int64_t rank_of(double product) { return static_cast<int64_t>(std::ceil(product - 1e-9 * std::max(1.0, product))); }

Tensor as_images(const Tensor& rows) {
  switch (rows.dim()) {
    case 2:
      return rows.unsqueeze(1).unsqueeze(1);
    case 3:
      return rows.unsqueeze(1);
    case 4:
      return rows;
    default:
      throw ShapeError("conformal blocks: got rows of shape " + shape_text(rows.sizes()) +
                       ", expected [B, C, H, W], [B, H, W] or [B, W]");
  }
}

double log_choose_beta(double n, double k, double a, double b) {
  return std::lgamma(n + 1) - std::lgamma(k + 1) - std::lgamma(n - k + 1) + std::lgamma(k + a) + std::lgamma(n - k + b) -
         std::lgamma(n + a + b) + std::lgamma(a + b) - std::lgamma(a) - std::lgamma(b);
}

void check_alpha(double alpha) {
  if (!(alpha > 0 && alpha < 1)) throw UsageError(text("conformal: alpha is ", alpha, ", expected between 0 and 1"));
}

}  // namespace

BlockConformal::BlockConformal(const BlockConformalOptions& options, Tensor scale) : options_(options), scale_(std::move(scale)) {
  check_alpha(options.alpha);
  check_alpha(options.inner_alpha);
  if (options.block < 0) throw UsageError(text("conformal: a block of side ", options.block, "; 0 is the whole map"));
}

int64_t BlockConformal::least_rows(double alpha) {
  check_alpha(alpha);
  int64_t n = 1;
  while (rank_of(static_cast<double>(n + 1) * (1 - alpha)) > n) ++n;
  return n;
}

Tensor BlockConformal::as_maps(const Tensor& rows) const {
  auto maps = as_images(rows);
  if (!shape_.empty()) check_shape(maps, joined({kAnyExtent}, shape_), "conformal blocks: rows");
  return maps;
}

Tensor BlockConformal::scale_of(const Tensor& blocks) const {
  if (!scale_.defined()) return torch::ones({}, torch::dtype(torch::kDouble).device(blocks.device()));
  check_shape(scale_, blocks.sizes().slice(blocks.dim() - 2), "conformal blocks: scale");
  return scale_.to(blocks.device(), torch::kDouble) + options_.epsilon;
}

Tensor BlockConformal::scores(const Tensor& errors) const {
  Tensor found;
  if (options_.score == BlockScore::maximum) {
    found = in_blocks(errors, options_.block, -std::numeric_limits<double>::infinity()).amax(-1);
  } else {
    // Padding sorts last, so that a block's own numbers keep their ranks.
    const auto sorted = std::get<0>(in_blocks(errors, options_.block, std::numeric_limits<double>::infinity()).sort(-1));
    const auto sizes = block_sizes(errors.sizes().slice(1), options_.block).to(errors.device()).unsqueeze(0);
    const auto ranks = (sizes * (1 - options_.inner_alpha) - 1e-9 * sizes).ceil().to(torch::kLong).clamp_min(1) - 1;
    found = sorted.gather(-1, ranks.expand({errors.size(0), -1, -1}).unsqueeze(-1)).squeeze(-1);
  }
  return found.to(torch::kDouble) / scale_of(found);
}

void BlockConformal::calibrate(const Tensor& errors) {
  const torch::NoGradGuard no_grad;
  const auto maps = as_maps(errors);
  if (maps.isnan().any().item<bool>()) throw NumericalError("conformal blocks: an error to calibrate on is not a number");
  shape_ = maps.sizes().slice(1).vec();
  scores_.push_back(scores(maps).cpu());
  num_rows_ += maps.size(0);
  thresholds_.reset();
}

const Tensor& BlockConformal::thresholds() const {
  if (thresholds_.defined()) return thresholds_;
  if (num_rows_ == 0) throw UsageError("conformal blocks: thresholds need rows to calibrate on; call calibrate() first");
  const auto all = torch::cat(scores_);
  const auto places = all.sizes().slice(1);
  const auto pooled = options_.pooling == BlockPooling::all;
  const auto blocks = pooled ? c10::multiply_integers(places) : 1;
  const auto count = num_rows_ * blocks;
  const auto rank = rank_of(static_cast<double>((num_rows_ + 1) * blocks) * (1 - options_.alpha));
  if (rank > count) {
    thresholds_ = torch::full(places, std::numeric_limits<double>::infinity(), torch::kDouble);
  } else if (pooled) {
    thresholds_ = std::get<0>(all.flatten().kthvalue(rank)).expand(places).clone();
  } else {
    thresholds_ = std::get<0>(all.kthvalue(rank, 0));
  }
  return thresholds_;
}

Tensor BlockConformal::half_widths() const {
  const auto& found = thresholds();
  return over_places(found * scale_of(found), shape_[1], shape_[2], options_.block);
}

double BlockConformal::width() const { return 2 * half_widths().mean().item<double>(); }

Tensor BlockConformal::lower(const Tensor& reconstructions) const {
  return reconstructions - half_widths()
                               .to(reconstructions.options())
                               .view(reconstructions.dim() == 2 ? Shape{shape_[2]} : Shape{shape_[1], shape_[2]});
}

Tensor BlockConformal::upper(const Tensor& reconstructions) const { return 2 * reconstructions - lower(reconstructions); }

BlockCoverage BlockConformal::coverage(const Tensor& errors) const {
  const torch::NoGradGuard no_grad;
  const auto maps = as_maps(errors);
  const auto found = scores(maps);
  const auto covered = found <= thresholds().to(found.device());
  const auto pixels = maps.to(torch::kDouble) <= half_widths().to(maps.device());
  return {.blocks = covered.to(torch::kDouble).flatten(1).mean(1), .pixels = pixels.to(torch::kDouble).flatten(1).mean(1)};
}

Tensor block_means(const Tensor& errors, int64_t block) {
  const auto maps = as_images(errors).to(torch::kDouble);
  return in_blocks(maps, block, 0).sum(-1).mean(0) / block_sizes(maps.sizes().slice(1), block).to(maps.device());
}

CoverageBand coverage_band(int64_t num_calibration, int64_t num_new, double alpha, double probability) {
  check_alpha(alpha);
  const auto n = static_cast<double>(num_calibration), m = static_cast<double>(num_new);
  const auto k = static_cast<double>(rank_of((n + 1) * (1 - alpha)));
  if (k > n) return {.low = 1, .high = 1};
  const double tail = (1 - probability) / 2;
  CoverageBand band{.low = 0, .high = 1};
  double below = 0;
  bool low_found = false;
  for (int64_t hits = 0; hits <= num_new; ++hits) {
    const auto share = static_cast<double>(hits) / m;
    below += std::exp(log_choose_beta(m, static_cast<double>(hits), k, n + 1 - k));
    if (!low_found && below > tail) band.low = share, low_found = true;
    if (below >= 1 - tail) {
      band.high = share;
      break;
    }
  }
  return band;
}

}  // namespace elbo
