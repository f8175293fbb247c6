#pragma once
#include "elbo/models/family.h"
#include "elbo/objectives/objective.h"

namespace elbo {

/// For vector paths and their pictures: the ELBO, and beside it the distance between the true curve and the decoded one, which
/// other control points may give as well. loss = -E_q[log p(x | z)] + beta KL(q || p) + chamfer E_q[Chamfer], the latter the mean
/// over points of the true curve of the squared distance to the nearest point of the other, plus the same the other way round.
/// Source: Zhang et al. 2024 (arXiv:2405.10317), section 4 (the dual-branch VAE), with model.aggregation {type: joint}; any other
/// will do. Differs: squared errors and the picture's are log-likelihoods, so the rest is an ELBO; the weights are ours.
/// Rows without a path add no distance. Units: nats per example, chamfer in squared lengths (a picture is 2 wide). Terms: bound
/// (the ELBO, weights 1), reconstruction, kl, chamfer.
/// Throws: ConfigError where the model has no such modality; ShapeError unless a path's last extent is 8.
struct DualBranchConfig {
  std::string path = "path";
  double chamfer = 100;
  int64_t points = 8;
  ScheduledNumber beta = scheduled_number(1);
  int64_t samples = 1;

  template <class F>
  void fields(F& field) {
    field("path", path, "the modality that holds cubic Bezier segments, [T, 8]");
    field("chamfer", chamfer, "weight of the distance between the curves", at_least(0));
    field("points", points, "points on each segment", between(1, 1000));
    field("beta", beta, "weight of the divergences", at_least(0));
    field("samples", samples, "posterior samples K an example", between(1, 100'000));
  }
};

std::shared_ptr<Objective> make_dual_branch(const DualBranchConfig& config, Multimodal& model, const ObjectiveContext& context);

/// Mean over points of the squared distance to the nearest of the others, plus the same the other way round.
/// Shapes: a [..., N, 2], b [..., P, 2], broadcasting -> [...].
Tensor chamfer_distance(const Tensor& a, const Tensor& b);

}  // namespace elbo
