#pragma once
#include <cmath>

#include "elbo/base/error.h"
#include "elbo/evaluation/metric.h"
#include "elbo/models/abilities.h"
#include "support/linear_gaussian.h"

namespace elbo::fakes {

/// The same rows in every split, for validation in the opposite order.
class Rows final : public Dataset {
 public:
  explicit Rows(Tensor x) : x_(std::move(x)) {}
  const DataSpec& spec() const override { return spec_; }
  int64_t size(Split) const override { return x_.size(0); }
  int64_t batch_size() const override { return 64; }
  void load(at::Device) override {}
  Batch gather(Split split, const Tensor& index, Stream&) const override {
    const auto& x = split == Split::valid ? x_.flip(0) : x_;
    return {.fields = {{"x", {.value = x.index_select(0, index)}}}, .index = index};
  }
  std::string fingerprint() const override { return "rows"; }
  Tensor training_mean() const override { return x_.mean(0); }

 private:
  Tensor x_;
  DataSpec spec_ = {};
};

inline std::shared_ptr<Rows> rows(Tensor x) { return std::make_shared<Rows>(std::move(x)); }
/// [N, 1], distinct.
inline std::shared_ptr<Rows> wavy_rows(int64_t N) { return rows(2 * wavy({N, 1})); }

/// A diagonal normal that keeps its mean and its name to itself: no closed form of anything is known.
class Opaque final : public Distribution {
 public:
  explicit Opaque(std::shared_ptr<Normal> normal)
      : Distribution(normal->batch_shape(), normal->event_shape()), normal_(std::move(normal)) {}
  bool has_rsample() const override { return true; }
  Tensor mean() const override { throw UsageError("opaque has no mean"); }
  Tensor variance() const override { throw UsageError("opaque has no variance"); }
  DistributionPtr detached() const override { return std::make_shared<Opaque>(*this); }
  std::string_view name() const override { return "opaque"; }

 private:
  Tensor do_log_prob(const Tensor& value) const override { return normal_->log_prob(value); }
  Tensor do_sample(at::IntArrayRef leading, Noise& noise) const override { return normal_->sample(leading, noise); }
  Tensor do_rsample(at::IntArrayRef leading, Noise& noise) const override { return normal_->rsample(leading, noise); }
  std::shared_ptr<Normal> normal_;
};

/// p(z_d) = N(0, 1), p(x | z) = N(sum_d weight_d z_d, 1), q(z_d | x) = N(gain_d x, variance_d), x scalar. Element-wise operations
/// only, so that the numbers of a row can't depend on the rows beside it.
class ScalarModel final : public Model, public Variational, public Samples, public Reconstructs {
 public:
  enum class Posterior { normal, opaque };

  ScalarModel(std::vector<double> weight, std::vector<double> gain, std::vector<double> variance)
      : weight_(values(weight)), gain_(values(gain)), log_var_(values(variance).log()) {
    child = register_module("child", torch::nn::Linear(1, 1));
  }
  std::string_view family() const override { return "variational"; }
  std::string summary() const override { return "scalar"; }

  Latents infer(const Batch& batch, int64_t K, Noise& noise) override {
    largest_rows = std::max(largest_rows, K * batch.size());
    was_training = was_training || is_training() || torch::GradMode::is_enabled();
    const auto mean = batch.at("x") * gain_;
    auto normal = std::make_shared<Normal>(mean, log_var_.expand_as(mean));
    DistributionPtr q = normal;
    if (posterior == Posterior::opaque) q = std::make_shared<Opaque>(normal);
    const auto zero = torch::zeros_like(mean);
    return {.layers = {{.q = q, .p = std::make_shared<Normal>(zero, zero), .z = q->rsample({K, batch.size()}, noise)}}};
  }
  Latents prior(const Batch&, int64_t, Noise&) override { return {}; }
  std::vector<Observation> decode(const Latents& latents, const Batch& batch) override {
    const auto mean = (latents.layers[0].z * weight_).sum(-1, /*keepdim=*/true);
    return {{.likelihood = Normal::with_scale(mean, 1, 1), .target = batch.at("x")}};
  }
  std::vector<Tensor> inference_parameters() override { return {}; }
  Tensor sample(const Batch& given, double, Noise& noise) override { return noise.normal({given.size()}, {1}); }
  /// One more than what was given in row 0, two more in row 1, …
  Tensor reconstruct(const Batch& batch) override { return batch.at("x") + (batch.index + 1).unsqueeze(1); }

  Posterior posterior = Posterior::normal;
  int64_t largest_rows = 0;
  bool was_training = false;
  torch::nn::Linear child = nullptr;

 private:
  Tensor weight_, gain_, log_var_;
};

/// x ~ N(z, 1), q = N(0, 1) whatever x is (the fixture with a known gap).
inline std::shared_ptr<ScalarModel> prior_as_posterior() {
  return std::make_shared<ScalarModel>(std::vector<double>{1}, std::vector<double>{0}, std::vector<double>{1});
}
/// A posterior that is near but not exact.
inline std::shared_ptr<ScalarModel> near_posterior() {
  return std::make_shared<ScalarModel>(std::vector<double>{1, 0.5}, std::vector<double>{0.4, 0.3}, std::vector<double>{0.6, 0.7});
}

/// A model of another family that can do nothing.
class Inert final : public Model {
 public:
  std::string_view family() const override { return "quantized"; }
  std::string summary() const override { return "inert"; }
};

/// The message of the UsageError that fn throws.
template <class E = UsageError, class F>
std::string message_of(F&& fn) {
  try {
    fn();
  } catch (const E& error) {
    return error.what();
  }
  return "nothing was thrown";
}

}  // namespace elbo::fakes
