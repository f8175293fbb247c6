#include <gmock/gmock.h>

#include <map>

#include "elbo/base/error.h"
#include "elbo/distributions/normal.h"
#include "elbo/math/structural_similarity.h"
#include "elbo/objectives/vq.h"
#include "elbo/quantizers/vq.h"
#include "quantizers/quantizer_steps.h"

namespace elbo::vq_similarity_test {

constexpr int64_t kSide = 22;

Tensor waves(at::IntArrayRef shape, double phase) { return (wavy(shape, phase) * 0.3 + 0.5).to(torch::kFloat); }

/// p(x) = N(a picture of parameters, 1), whatever the codes.
class OnePicture final : public Model, public Quantized {
 public:
  OnePicture() {
    QuantizerSteps steps;
    quantizer_ = register_module("quantizer", make_vq({.codes = 3, .code_size = 2}, steps.context()));
    picture = register_parameter("picture", waves({1, kSide, kSide}, 0.4));
  }
  std::string_view family() const override { return "quantized"; }
  std::string summary() const override { return "one picture"; }
  std::vector<CodeLevel> quantize(const Batch& batch, Step& step) override {
    return {{.tokens = tokens(batch), .quantization = quantizer_->forward(tokens(batch), step)}};
  }
  std::vector<Tensor> codes(const Batch& batch) override { return {quantizer_->encode(tokens(batch))}; }
  std::vector<Observation> decode(const std::vector<Tensor>&, const Batch& batch) override {
    return {{.likelihood = Normal::with_scale(picture.unsqueeze(0).expand_as(batch.at("x")), 1, 3), .target = batch.at("x")}};
  }
  std::vector<Quantizer*> quantizers() override { return {quantizer_.get()}; }
  Tensor picture;

 private:
  static Tensor tokens(const Batch& batch) { return wavy({batch.size(), 1, 2}).to(torch::kFloat); }
  std::shared_ptr<Quantizer> quantizer_;
};

Batch pictures() { return {.fields = {{"x", {.value = waves({2, 1, kSide, kSide}, 1.3)}}}, .index = torch::arange(2)}; }

ObjectiveContext context_of(Shape shape, ValueKind kind = ValueKind::unit) {
  return {.objective = "objective 'vq'", .spec = {{"x", {.shape = std::move(shape), .kind = kind}}}};
}

struct Pass {
  LossTerms losses = {};
  Tensor gradient = {};  // of the picture
  Tensor term(const std::string& name) const {
    for (const auto& term : losses.terms) {
      if (term.name == name) return term.value;
    }
    return {};
  }
};

Pass pass(const VqObjectiveConfig& config) {
  OnePicture model;
  const auto objective = make_vq_objective(config, model, context_of({1, kSide, kSide}));
  for (auto& number : objective->scheduled()) number.refill({.step = 0, .steps_per_epoch = 1, .total_steps = 1});
  QuantizerSteps steps;
  auto step = steps.step();
  Pass result{.losses = objective->losses(pictures(), step)};
  result.losses.loss.sum().backward();
  result.gradient = model.picture.grad();
  return result;
}

Tensor similarity(const Tensor& picture) {
  return multiscale_similarity(pictures().at("x"), picture.unsqueeze(0).expand({2, 1, kSide, kSide}), 2);
}

TEST(VqSimilarity, IsAddedToTheLikelihoodInEitherForm) {
  const auto plain = pass({});
  const auto expected = similarity(OnePicture().picture.detach());
  const auto decibel = pass({.ms_ssim = {.weight = 100, .scales = 2}});
  expect_close(decibel.losses.loss - plain.losses.loss, 1000 * (1 - expected).log10(), 1e-3, 1e-3);
  const auto difference = pass({.ms_ssim = {.weight = 100, .form = SimilarityForm::difference, .scales = 2}});
  expect_close(difference.losses.loss - plain.losses.loss, 100 * (1 - expected), 1e-3, 1e-3);
  expect_close(difference.term("ms_ssim"), expected, 1e-6);
  EXPECT_FALSE(plain.term("ms_ssim").defined());
  expect_equal(difference.term("bound"), plain.term("bound"));
}

TEST(VqSimilarity, AloneItIsTheOnlyGradientAndTheBoundStaysTheLikelihoods) {
  const VqObjectiveConfig config{.likelihood_weight = 0, .ms_ssim = {.weight = 1, .scales = 2}};
  const auto alone = pass(config);
  auto picture = OnePicture().picture.detach().requires_grad_();
  (-similarity_decibels(similarity(picture))).sum().backward();
  expect_close(alone.gradient, picture.grad(), 1e-4, 1e-6);
  EXPECT_GT(picture.grad().abs().max().item<double>(), 1e-3);
  expect_equal(alone.term("bound"), pass({}).term("bound"));
}

TEST(VqSimilarity, TheLikelihoodsWeightScalesItsGradient) {
  expect_close(pass({.likelihood_weight = 0.25}).gradient, 0.25 * pass({}).gradient, 1e-5);
}

TEST(VqSimilarity, SaysWhichPicturesItNeeds) {
  OnePicture model;
  const auto message = [&](const ObjectiveContext& context, const SimilarityTermConfig& term) -> std::string {
    try {
      make_vq_objective({.ms_ssim = term}, model, context);
    } catch (const ConfigError& error) {
      return error.what();
    }
    return "";
  };
  EXPECT_EQ(message(context_of({1, 28, 28}), {.weight = 1}),
            "objective 'vq': ms_ssim.scales: 5 don't fit on pictures [1, 28, 28]; set at most 2");
  EXPECT_EQ(message(context_of({1, 8, 28}), {.weight = 1}),
            "objective 'vq': ms_ssim.scales: 5 don't fit on pictures [1, 8, 28]; set ms_ssim.weight: 0");
  const std::string no_pictures = "objective 'vq': MS-SSIM is of pictures with values in [0, 1]; field x holds none";
  EXPECT_EQ(message(context_of({784}), {.weight = 1, .scales = 1}), no_pictures);
  EXPECT_EQ(message(context_of({1, 28, 28}, ValueKind::real), {.weight = 1, .scales = 1}), no_pictures);
  EXPECT_EQ(message(context_of({1, 8, 28}), {.weight = 0}), "");
}

}  // namespace elbo::vq_similarity_test
