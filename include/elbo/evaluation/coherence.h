#pragma once
#include "elbo/evaluation/metric.h"

namespace elbo {

/// Whether what a model generates belongs together, by classifiers of each modality that were trained on real data
/// (classifier.h). coherence(A->n): z is one draw of q(z | x_A), private latents of n from their prior; the share of rows where
/// the class of the mean of p(x_n | z) is the label of the row. coherence_k: the mean over all A of k modalities and n outside of
/// A. coherence_joint: z from the prior; the share of draws of whose modalities all are taken for the same class.
/// classifier_accuracy(m): the same share for real x_m, what a perfect model would reach. A modality that is the label counts
/// like the others, and is read off. Rows that lack the label or something of A are left out; coherence_examples(…) and
/// classifier_accuracy_examples(…) then count the rest.
/// Subsets: those asked for, else all, of more than 5 modalities those of 1 and of all but one.
/// Source: Shi et al. 2019 (arXiv:1911.03393), section 4.1; Sutter et al. 2021 (arXiv:2105.02470), section 4.
std::shared_ptr<Metric> make_coherence_metric(const NoConfig&);

namespace detail {
/// Shares of rows and their errors, of numbers that may each lack rows. Shapes: hit and counted [N], a number each.
struct Hits {
  Tensor hit = {};      // float64: 1 or 0
  Tensor counted = {};  // bool
};
/// The mean over numbers of each one's mean over its rows; the error is over rows, which the numbers share. Undefined per-example
/// values unless every number counts every row.
Measurement mean_of_hits(std::string name, const std::vector<Hits>& numbers);
}  // namespace detail

}  // namespace elbo
