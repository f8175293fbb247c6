#include "elbo/objectives/block_uncertainty.h"

#include <cmath>

#include "elbo/base/error.h"
#include "elbo/distributions/normal.h"
#include "elbo/math/structural_similarity.h"
#include "elbo/models/abilities.h"
#include "elbo/quantizers/vaevq.h"
#include "elbo/quantizers/vq.h"
#include "quantizers/quantizer_steps.h"

namespace elbo::block_uncertainty_test {

constexpr int64_t kSide = 12;

/// Codes that count for nothing but by their tint; p(target) = N(a picture of parameters + tint * mean of the codes, 1). float32.
class Painted final : public Model, public Quantized, public Reconstructs {
 public:
  Painted() : Painted(make_vq({.codes = 3, .code_size = 2}, QuantizerSteps().context())) {}
  explicit Painted(std::shared_ptr<Quantizer> quantizer) : quantizer_(std::move(quantizer)) {
    register_module("quantizer", quantizer_);
    picture = register_parameter("picture", (wavy({1, kSide, kSide}, 0.3) * 0.4 + 0.5).to(torch::kFloat));
  }
  std::string_view family() const override { return "quantized"; }
  std::string summary() const override { return "painted"; }
  Tensor tokens(const Batch& batch) const {
    return wavy({batch.size(), 1, quantizer_->code_space().input_size}).to(torch::kFloat);
  }
  std::vector<CodeLevel> quantize(const Batch& batch, Step& step) override {
    return {{.tokens = tokens(batch), .quantization = quantizer_->forward(tokens(batch), step)}};
  }
  std::vector<Tensor> codes(const Batch& batch) override { return {quantizer_->encode(tokens(batch))}; }
  std::vector<Observation> decode(const std::vector<Tensor>& values, const Batch& batch) override {
    const auto mean = (picture + tint * values[0].mean(-1, true).unsqueeze(-1)).expand({batch.size(), 1, kSide, kSide});
    decoded.push_back(mean.detach());
    return {{.likelihood = Normal::with_scale(mean, 1, 3), .target = batch.at("target")}};
  }
  std::vector<Quantizer*> quantizers() override { return {quantizer_.get()}; }
  Tensor reconstruct(const Batch&) override { return picture; }
  std::string reconstructed_field() const override { return "target"; }
  Tensor picture;
  double tint = 0;
  std::vector<Tensor> decoded = {};

 private:
  std::shared_ptr<Quantizer> quantizer_;
};

ObjectiveContext context_of_maps() {
  return {.objective = "objective 'block_uncertainty'",
          .model = "model 'painted'",
          .spec = {{"target", {.shape = {1, kSide, kSide}, .kind = ValueKind::unit}},
                   {"x", {.shape = {1, 6, 6}, .kind = ValueKind::unit}}}};
}

/// Pictures whose errors differ from block to block.
Batch pictures(int64_t B = 3, double phase = 0) {
  const auto noise = wavy({B, 1, kSide, kSide}, 1.1 + phase).pow(3);
  const auto place = (1 + torch::arange(kSide)) / 24.0;
  return {.fields = {{"target", {.value = (0.5 + noise * place * 0.8).to(torch::kFloat)}}}, .index = torch::arange(B)};
}

struct BlockBench {
  explicit BlockBench(const BlockUncertaintyConfig& config) : BlockBench(config, Painted()) {}
  BlockBench(const BlockUncertaintyConfig& config, const Painted& painted) : model(painted) {
    objective = make_block_uncertainty(config, model, context_of_maps());
    refill();
  }
  void refill() {
    for (auto& number : objective->scheduled()) number.refill({.step = 0, .steps_per_epoch = 1, .total_steps = 1});
  }
  LossTerms losses(const Batch& batch, bool training = true) {
    auto step = steps.step(training);
    return objective->losses(batch, step);
  }
  void after_step() { dynamic_cast<Stepped&>(*objective).after_step(steps.step()); }
  void after_step(Collective& processes) {
    dynamic_cast<Stepped&>(*objective)
        .after_step({.training = true, .noise = steps.noise, .streams = steps.streams, .collective = processes});
  }

  Painted model;
  QuantizerSteps steps;
  std::shared_ptr<Objective> objective;
};

Tensor term_named(const LossTerms& losses, const std::string& name) {
  for (const auto& term : losses.terms) {
    if (term.name == name) return term.value;
  }
  throw std::out_of_range(name);
}

/// The tracker by its definition, one step at decay 0. Shapes: [12, 12], mean 1.
Tensor expected_weights(const Painted& model, const Batch& batch, double epsilon) {
  const auto errors = (batch.at("target") - model.picture.detach()).abs().to(torch::kDouble);
  const auto blocks = errors.view({-1, 3, 4, 3, 4}).permute({0, 1, 3, 2, 4}).reshape({-1, 3, 3, 16});
  const auto quantile = torch::quantile(blocks, 0.95, -1).mean(0), mean = blocks.mean(-1).mean(0);
  const auto weights = quantile / (mean + epsilon);
  return (weights / weights.mean()).repeat_interleave(4, 0).repeat_interleave(4, 1);
}

TEST(BlockUncertainty, BeforeTheFirstStepItIsTheObjectiveVq) {
  BlockBench bench({.similarity = 0});
  const auto vq = make_vq_objective({}, bench.model, context_of_maps());
  for (auto& number : vq->scheduled()) number.refill({.step = 0, .steps_per_epoch = 1, .total_steps = 1});
  auto step = bench.steps.step();
  const auto batch = pictures();
  const auto losses = bench.losses(batch);
  expect_close(losses.loss, vq->losses(batch, step).loss, 1e-5);
  expect_close(term_named(losses, "block_weight_max"), 1);
}

TEST(BlockUncertainty, WeighsBlocksByTheirTailsWithMeanOne) {
  for (const auto reduction : {VqReduction::sum, VqReduction::mean}) {
    BlockBench bench({.reduction = reduction, .decay = 0, .similarity = 0});
    const auto before = bench.losses(pictures());
    bench.after_step();
    const auto weights = expected_weights(bench.model, pictures(), 1e-5);
    EXPECT_NEAR(weights.mean().item<double>(), 1, 1e-12);
    EXPECT_GT(weights.max().item<double>(), 1.05);
    const auto batch = pictures(2, 0.4);
    const auto unweighted = bench.losses(batch);
    const auto nats = 0.5 * (batch.at("target") - bench.model.picture.detach()).square() + 0.5 * std::log(2 * M_PI);
    const double elements = reduction == VqReduction::mean ? kSide * kSide : 1;
    const auto reconstruction = term_named(unweighted, "reconstruction") / elements;
    const auto terms = unweighted.loss - ((nats * weights).flatten(1).sum(1) / elements);
    auto plain = make_vq_objective({.reduction = reduction}, bench.model, context_of_maps());
    for (auto& number : plain->scheduled()) number.refill({.step = 0, .steps_per_epoch = 1, .total_steps = 1});
    auto step = bench.steps.step();
    expect_close(terms, plain->losses(batch, step).loss - reconstruction, 1e-3, 1e-3);
    expect_close(term_named(unweighted, "block_weight_max"), weights.max().item<double>(), 1e-4);
  }
}

// The gradient is that of the weighted squares alone: none through the weights, none of the unweighted sum.
TEST(BlockUncertainty, TheGradientIsTheWeightedOne) {
  BlockBench bench({.decay = 0, .similarity = 0});
  bench.losses(pictures());
  bench.after_step();
  const auto weights = expected_weights(bench.model, pictures(), 1e-5);
  const auto batch = pictures(2, 0.4);
  bench.losses(batch).loss.sum().backward();
  const auto expected = (weights * (bench.model.picture.detach() - batch.at("target"))).sum(0);
  expect_close(bench.model.picture.grad(), expected, 1e-4, 1e-5);
}

TEST(BlockUncertainty, ForwardPassesMoveNothingAndAveragesAreOfSteps) {
  BlockBench bench({.decay = 0.75, .similarity = 0});
  const auto buffers = [&] { return bench.objective->named_buffers(); };
  bench.losses(pictures());
  expect_close(buffers()["mean_error"], 0);
  bench.losses(pictures(), /*training=*/false);
  bench.after_step();
  const auto errors = (pictures().at("target") - bench.model.picture.detach()).abs();
  const auto mean = torch::avg_pool2d(errors, 4).mean(0)[0];
  expect_close(buffers()["mean_error"], 0.25 * mean, 1e-5);
  bench.after_step();  // nothing new
  expect_close(buffers()["mean_error"], 0.25 * mean, 1e-5);
}

/// Rows first to first + count of a batch.
Batch part_of(const Batch& batch, int64_t first, int64_t count) {
  return {.fields = {{"target", {.value = batch.at("target").narrow(0, first, count)}}},
          .index = batch.index.narrow(0, first, count)};
}

/// Two processes, one after the other: the first one's tensors are kept and added to the second's.
class OneAfterTheOther final : public Collective {
 public:
  int64_t size() const override { return 2; }
  void all_reduce_sum(Tensor& sum) override {
    if (!second) return kept.push_back(sum.clone());
    sum.add_(kept.at(next++));
  }
  bool second = false;
  size_t next = 0;
  std::vector<Tensor> kept = {};
};

TEST(BlockUncertainty, UnequalPartsAndProcessesCountByTheirRows) {
  const auto batch = pictures(20);
  BlockBench whole({.decay = 0, .similarity = 0}), parts({.decay = 0, .similarity = 0});
  whole.losses(batch);
  whole.after_step();
  parts.losses(part_of(batch, 0, 16));
  parts.losses(part_of(batch, 16, 4));
  parts.after_step();
  BlockBench first({.decay = 0, .similarity = 0}), second({.decay = 0, .similarity = 0});
  OneAfterTheOther processes;
  first.losses(part_of(batch, 0, 16));
  first.after_step(processes);
  processes.second = true;
  second.losses(part_of(batch, 16, 4));
  second.after_step(processes);
  const auto expected = whole.objective->named_buffers();
  for (const auto* name : {"mean_error", "quantile_error"}) {
    expect_close(parts.objective->named_buffers()[name], expected[name], 1e-6);
    expect_close(second.objective->named_buffers()[name], expected[name], 1e-6);
  }
}

// A quantiser that gives a continuous value too has both decodings weighed, as objective vq averages both.
TEST(BlockUncertainty, AContinuousValueIsWeighedToo) {
  const auto zero = scheduled_number(0);
  Painted painted(make_vaevq({.codes = 3, .code_size = 2, .rcs_weight = zero, .kl_weight = zero, .dcr_weight = zero},
                             QuantizerSteps().context()));
  painted.tint = 0.3;
  BlockBench bench({.decay = 0, .similarity = 0}, painted);
  const auto before = bench.losses(pictures());
  expect_close(before.loss, (term_named(before, "reconstruction") + term_named(before, "reconstruction_continuous")) / 2, 1e-5);
  bench.after_step();
  const auto buffers = bench.objective->named_buffers();
  const auto weights = buffers["quantile_error"] / (buffers["mean_error"] + 1e-5);
  const auto places = (weights / weights.mean()).repeat_interleave(4, 0).repeat_interleave(4, 1);
  bench.model.decoded.clear();
  const auto after = bench.losses(pictures());
  ASSERT_EQ(bench.model.decoded.size(), 2U);
  auto expected = torch::zeros({3});
  for (const auto& mean : bench.model.decoded) {
    const auto nats = 0.5 * (pictures().at("target") - mean).square() + 0.5 * std::log(2 * M_PI);
    expected = expected + (nats * places).flatten(1).sum(1) / 2;
  }
  expect_close(after.loss, expected, 1e-5);
}

TEST(BlockUncertainty, SimilarityIsAddedOnceAnExample) {
  BlockBench without({.similarity = 0}), with({.similarity = 7});
  const auto batch = pictures();
  const auto ssim = structural_similarity(batch.at("target"), with.model.picture.detach().expand_as(batch.at("target")));
  const auto losses = with.losses(batch);
  expect_close(losses.loss - without.losses(batch).loss, 7 * (1 - ssim), 1e-3, 1e-3);
  expect_close(term_named(losses, "ssim"), ssim, 1e-6);
  expect_close(term_named(losses, "bound"), term_named(without.losses(batch), "bound"));
}

TEST(BlockUncertainty, SaysWhatItNeeds) {
  Painted model;
  const auto message = [&](const BlockUncertaintyConfig& config, const Shape& shape,
                           ValueKind kind = ValueKind::unit) -> std::string {
    auto context = context_of_maps();
    context.spec["target"] = {.shape = shape, .kind = kind};
    try {
      make_block_uncertainty(config, model, context);
    } catch (const ConfigError& error) {
      return error.what();
    }
    return "";
  };
  EXPECT_EQ(message({}, {144}),
            "objective 'block_uncertainty' weighs blocks of maps [C, H, W]; field target of model 'painted' is none");
  EXPECT_EQ(message({}, {1, 8, 12}),
            "objective 'block_uncertainty': SSIM needs pictures of at least 11 x 11, these are [1, 8, 12]; set similarity: 0");
  EXPECT_EQ(message({.similarity = 0}, {1, 8, 12}), "");
  EXPECT_EQ(
      message({}, {1, 12, 12}, ValueKind::real),
      "objective 'block_uncertainty': SSIM is of pictures with values in [0, 1]; field target holds none; set similarity: 0");
  EXPECT_EQ(message({.similarity = 0}, {1, 12, 12}, ValueKind::real), "");
  EXPECT_EQ(message({}, {1, 12, 12}, ValueKind::binary), "");
}

}  // namespace elbo::block_uncertainty_test
