#pragma once
#include <functional>
#include <string>

#include "elbo/nn/feature_distance.h"
#include "elbo/nn/patch_critic.h"
#include "elbo/objectives/objective.h"

namespace elbo::detail {

/// The pictures that an objective compares by more than their pixels: critics and networks of features see [-1, 1].
class SeenImage {
 public:
  /// Throws: ConfigError where the field is no image.
  SeenImage(const std::string& field, const ObjectiveContext& context);
  const FieldSpec& spec() const { return spec_; }
  /// Of [0, 1] to [-1, 1].
  Tensor centred(const Tensor& image) const { return is_unit_ ? 2 * image - 1 : image; }

 private:
  FieldSpec spec_;
  bool is_unit_;
};

/// The distance of features beside a reconstruction; nothing at all where it has no weight.
class PerceptualTerm {
 public:
  /// Throws: ConfigError where shift or scale are for other channels.
  PerceptualTerm(const FeatureDistanceConfig& config, const SeenImage& image);
  /// n w_p d(image, target) of centred pictures, [B], which is added to the loss beside its term; undefined where it has no
  /// weight. `n` is how many numbers of an example count.
  Tensor add_to(LossTerms& losses, const Tensor& image, const Tensor& target, double n);

 private:
  double weight_;
  FeatureDistance distance_;
};

struct ImageCriticOptions {
  PatchCriticConfig network = {};
  int64_t start = 0;  // the first step in which it learns and counts
  ScheduledNumber weight = scheduled_number(1);
};

/// A critic of patches and its pull at a model that gives images, by the sizes of two gradients. All images are centred.
class ImageCritic {
 public:
  ImageCritic(const ImageCriticOptions& options, const SeenImage& image, const ObjectiveContext& context);

  /// To be registered as the objective's `critic`.
  const std::shared_ptr<PatchCritic>& network() const { return network_; }
  const Scheduled& weight() const { return weight_; }
  /// Phase `critic`, of the critic's parameters.
  Phase phase(std::function<LossTerms(const Batch&, Step&)> losses) const;

  /// Adds lambda n g, g = -mean D(image) each example, and its terms; `rest` [B] is what lambda compares it with at the weight
  /// `last`. In training before its start there are only terms.
  void pull(LossTerms& losses, const Tensor& rest, const Tensor& image, double n, const Tensor& last, const Step& step);
  /// Its own loss on what a model made and what it should have made, and the scores' terms.
  void judge(LossTerms& losses, const Tensor& image, const Tensor& target);
  /// The scores' terms alone.
  void add_scores(LossTerms& losses, const Tensor& image, const Tensor& target) { scored(losses, image, target); }

 private:
  struct Scores {
    Tensor real = {};  // [B, h, w]
    Tensor fake = {};
  };
  Scores scored(LossTerms& losses, const Tensor& image, const Tensor& target);

  int64_t start_;
  Scheduled weight_;
  std::shared_ptr<PatchCritic> network_;
};

/// Throws: ConfigError where the decoder names no weight of a last layer, which adaptive weights need.
void check_output_weight(const Tensor& weight, const ObjectiveContext& context);

}  // namespace elbo::detail
