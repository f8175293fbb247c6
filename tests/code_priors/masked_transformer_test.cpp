#include "elbo/code_priors/masked_transformer.h"

#include "code_priors/prior_checks.h"
#include "elbo/base/error.h"

namespace elbo::masked_transformer_test {

using namespace prior_checks;

constexpr CodeGrid kSmall = {.height = 2, .width = 2, .vocabulary = 3};
constexpr CodeGrid kAbove = {.height = 1, .width = 2, .groups = 2, .vocabulary = 3};

struct Built {
  explicit Built(CodeGrid grid = kSmall, MaskedTransformerConfig config = {}, int64_t num_classes = 0,
                 std::optional<CodeGrid> above = {})
      : bed(grid) {
    config.width = 16;
    config.layers = 2;
    config.heads = 2;
    prior = make_masked_transformer(config, bed.context(num_classes, above));
    scatter_parameters(*prior);
  }
  PriorBed bed;
  std::shared_ptr<MaskedCodePrior> prior;
};

/// The subsets of T positions. Shapes: bool [2^T, T].
Tensor all_masks(int64_t T) {
  return torch::arange(int64_t{1} << T).unsqueeze(1).bitwise_right_shift(torch::arange(T)).bitwise_and(1).to(torch::kBool);
}

/// log p of each position's own code where these are masked. Shapes: codes [N, h, w, G], masked [N, T] -> [N, T].
Tensor log_probs(MaskedCodePrior& prior, const Tensor& codes, const Tensor& masked) {
  const torch::NoGradGuard no_grad;
  const auto logits = prior.logits(codes, masked.view_as(codes), {}, nullptr).to(torch::kDouble);
  return torch::log_softmax(logits, 2).gather(2, codes.flatten(1).unsqueeze(2)).squeeze(2);
}

struct Enumerated {
  double log_prob = 0;  // of codes drawn one by one in a random order
  double bound = 0;     // E[loss]
};

/// Both by all masks of one image: the first by walking the lattice of the sets of codes already drawn.
Enumerated enumerate(MaskedCodePrior& prior, const Tensor& code) {
  const auto T = code.numel();
  const auto masks = all_masks(T);
  const auto log_p = log_probs(prior, code.expand({masks.size(0), -1, -1, -1}).contiguous(), masks);
  std::vector<double> reached(static_cast<size_t>(masks.size(0)), 0);  // by masks: the mean over orders of what is drawn so far
  reached.back() = 1;                                                  // everything is masked at first
  double bound = 0;
  for (int64_t m = masks.size(0) - 1; m > 0; --m) {
    const auto n = masks[m].sum().item<int64_t>();
    double choices = 1;  // masks of n codes
    for (int64_t i = 0; i < n; ++i) choices = choices * static_cast<double>(T - i) / static_cast<double>(i + 1);
    for (int64_t i = 0; i < T; ++i) {
      if (!masks[m][i].item<bool>()) continue;
      const auto log_one = log_p[m][i].item<double>();
      reached[static_cast<size_t>(m ^ (int64_t{1} << i))] +=
          reached[static_cast<size_t>(m)] * std::exp(log_one) / static_cast<double>(n);
      bound -= log_one / static_cast<double>(n) / choices;
    }
  }
  return {.log_prob = std::log(reached[0]), .bound = bound};
}

TEST(MaskedTransformer, ItsBoundIsBelowTheTruthAndTheLossIsItsEstimate) {
  Built built;
  const auto codes = all_codes(kSmall);
  double total = 0, looseness = 0;
  for (int64_t i = 0; i < codes.size(0); ++i) {
    const auto truth = enumerate(*built.prior, codes.narrow(0, i, 1));
    total += std::exp(truth.log_prob);
    EXPECT_GE(truth.bound, -truth.log_prob);
    looseness = std::max(looseness, truth.bound + truth.log_prob);
    if (i % 27 != 0) continue;
    constexpr int64_t kDraws = 4000;
    const torch::NoGradGuard no_grad;
    auto step = built.bed.step(false);
    const auto loss = built.prior->loss(codes.narrow(0, i, 1).expand({kDraws, -1, -1, -1}), {}, step).value.to(torch::kDouble);
    const auto error = loss.std().item<double>() / std::sqrt(static_cast<double>(kDraws));
    EXPECT_NEAR(loss.mean().item<double>(), truth.bound, 4.5 * error);
  }
  EXPECT_NEAR(total, 1, 1e-4);
  EXPECT_GT(looseness, 0.01) << "the order does not matter to this model: the check shows nothing";
}

TEST(MaskedTransformer, TrainingTellsTheBoundWhateverItMinimises) {
  Built built(kSmall, {.dropout = 0, .mask_ratio = MaskRatio::cosine, .label_smoothing = 0.3});
  const auto codes = scattered_codes(kSmall, 1);
  constexpr int64_t kDraws = 20'000;
  const torch::NoGradGuard no_grad;
  auto step = built.bed.step(true);
  const auto loss = built.prior->loss(codes.expand({kDraws, -1, -1, -1}), {}, step);
  const auto bound = loss.bound.to(torch::kDouble);
  const auto error = bound.std().item<double>() / std::sqrt(static_cast<double>(kDraws));
  const auto truth = enumerate(*built.prior, codes).bound;
  EXPECT_NEAR(-bound.mean().item<double>(), truth, 4.5 * error);
  EXPECT_GT(std::abs(loss.value.mean().item<double>() - truth), 5 * error) << "smoothing and counts change nothing here";
}

/// Gives each row these numbers.
struct ScriptedNoise final : Noise {
  Tensor normal(at::IntArrayRef, at::IntArrayRef) override { return {}; }
  Tensor uniform(at::IntArrayRef leading, at::IntArrayRef event) override { return numbers.view(joined(leading, event)); }
  Tensor numbers = {};
};

TEST(MaskedTransformer, LossIsTheCrossEntropyOfTheMaskedCodes) {
  Built built(kSmall, {.dropout = 0});
  ScriptedNoise noise;
  const auto codes = scattered_codes(kSmall, 1);
  const auto loss = [&](bool training) {
    auto step = Step{.training = training, .noise = noise, .streams = built.bed.streams, .collective = built.bed.collective};
    return built.prior->loss(codes, {}, step).value[0].item<double>();
  };
  // The lowest numbers are masked: of 0.6, ceil(4 cos(0.3 pi)) = 3 in training and floor(4 0.6) + 1 = 3 in evaluation.
  noise.numbers = torch::tensor({0.6, 0.9, 0.1, 0.5, 0.2});
  const auto masked = torch::tensor({false, true, true, true}).unsqueeze(0);
  const auto logits = built.prior->logits(codes, masked.view_as(codes), {}, nullptr).detach().to(torch::kDouble);
  const auto log_p = torch::log_softmax(logits, 2)[0];
  const auto own = log_p.gather(1, codes.view({4, 1})).squeeze(1).masked_select(masked[0]);
  EXPECT_NEAR(loss(false), -4.0 / 3 * own.sum().item<double>(), 1e-4);
  const auto smoothed = 0.9 * own + 0.1 * log_p.mean(1).masked_select(masked[0]);
  EXPECT_NEAR(loss(true), -4.0 / 3 * smoothed.sum().item<double>(), 1e-4);
  // ceil(4 cos(0.45 pi)) = 1 in training, floor(4 0.9) + 1 = 4 in evaluation: all, and the weight is 1.
  noise.numbers = torch::tensor({0.9, 0.9, 0.1, 0.5, 0.2});
  const auto all = log_probs(*built.prior, codes, torch::ones({1, 4}, torch::kBool));
  EXPECT_NEAR(loss(false), -all.sum().item<double>(), 1e-4);
  const auto one = torch::tensor({{false, true, false, false}});
  const auto log_one = torch::log_softmax(built.prior->logits(codes, one.view_as(codes), {}, nullptr).detach(), 2)[0][1];
  const auto code = codes.flatten()[1].item<int64_t>();
  EXPECT_NEAR(loss(true), -4 * (0.9 * log_one[code].item<double>() + 0.1 * log_one.mean().item<double>()), 1e-4);
}

/// What a masked code is must not matter to anything but its own loss; a code in sight must matter to all.
TEST(MaskedTransformer, MaskedCodesAreNotSeen) {
  const Built built({.height = 3, .width = 2, .groups = 2, .vocabulary = 5});
  const auto codes = scattered_codes(built.bed.grid, 1);
  const auto masked = (torch::arange(12).remainder(3) == 0).unsqueeze(0);
  const auto logits = [&](const Tensor& of) { return built.prior->logits(of, masked.view_as(of), {}, nullptr).detach(); };
  const auto before = logits(codes);
  for (int64_t i = 0; i < 12; ++i) {
    auto changed = codes.clone();
    changed.view(-1)[i] = (changed.view(-1)[i] + 1).remainder(5);
    const auto same = logits(changed).eq(before).all(2);
    EXPECT_EQ(same.all().item<bool>(), masked[0][i].item<bool>()) << i;
    EXPECT_EQ(same.any().item<bool>(), masked[0][i].item<bool>()) << i;
  }
}

TEST(MaskedTransformer, GradientsComeFromMaskedPositionsAlone) {
  Built built(kSmall, {.dropout = 0});
  ScriptedNoise noise;
  noise.numbers = torch::tensor({0.9, 0.9, 0.1, 0.5, 0.2});  // in training just position 1
  auto step = Step{.noise = noise, .streams = built.bed.streams, .collective = built.bed.collective};
  const auto codes = torch::tensor({0, 1, 0, 0}).view({1, 2, 2, 1});
  // The loss of one position moves the last layer's bias by p - target of that position alone.
  const auto bias = built.prior->named_parameters()["output.0.bias"];
  const auto gradient = torch::autograd::grad({built.prior->loss(codes, {}, step).value.sum()}, {bias})[0];
  const auto masked = torch::tensor({false, true, false, false}).view({1, 2, 2, 1});
  const auto p = torch::softmax(built.prior->logits(codes, masked, {}, nullptr).detach(), 2)[0][1];
  expect_close(gradient, 4 * (p - (0.9 * torch::tensor({0.0, 1.0, 0.0}) + 0.1 / 3)), 1e-4, 1e-5);
}

TEST(MaskedTransformer, ScheduleEndsWithNothingMasked) {
  std::vector<int64_t> left;
  for (int64_t t = 0; t <= 8; ++t) left.push_back(static_cast<int64_t>(std::floor(256 * masked_share(t, 8))));
  EXPECT_EQ(left, (std::vector<int64_t>{256, 251, 236, 212, 181, 142, 97, 49, 0}));
}

TEST(MaskedTransformer, VisibleCodesNeverChange) {
  const Built built({.height = 4, .width = 4, .groups = 2, .vocabulary = 7}, {.steps = 5});
  Stream noise(3, "sampling", at::kCPU);
  const auto codes = scattered_codes(built.bed.grid, 4);
  auto masked = (scattered_codes(built.bed.grid, 4, 1) < 3).contiguous();
  masked[2].fill_(false);  // nothing to draw
  masked[3].fill_(false);
  masked[3][1][2][1] = true;  // one code
  const auto painted = built.prior->inpaint(codes, masked, {}, {}, noise);
  EXPECT_TRUE(painted.masked_select(~masked).equal(codes.masked_select(~masked)));
  EXPECT_FALSE(painted.masked_select(masked).equal(codes.masked_select(masked)));
  EXPECT_TRUE(painted.ge(0).logical_and(painted.lt(7)).all().item<bool>()) << "the mask is no code";
  EXPECT_THROW(built.prior->inpaint(codes, masked.narrow(0, 0, 1), {}, {}, noise), ShapeError);
}

/// With as many passes as codes each is drawn given those before it, and without noise in the choice one pass is p of all masked.
TEST(MaskedTransformer, OnePassDrawsEachCodeByItself) {
  const Built built(kSmall, {.steps = 1});
  Stream noise(3, "sampling", at::kCPU);
  constexpr int64_t kDraws = 4000;
  const auto drawn = built.prior->sample(kDraws, {}, {}, noise).flatten(1);
  const auto p = torch::softmax(
      built.prior->logits(torch::zeros({1, 2, 2, 1}, torch::kLong), torch::ones({1, 2, 2, 1}, torch::kBool), {}, nullptr)
          .detach(),
      2)[0];
  for (int64_t v = 0; v < 3; ++v) {
    expect_close(drawn.eq(v).to(torch::kDouble).mean(0), p.select(1, v), 0, 4 * 0.5 / std::sqrt(static_cast<double>(kDraws)));
  }
  const auto greedy = built.prior->sample(2, {}, {.temperature = 0}, noise);
  expect_equal(greedy[0].flatten(), p.argmax(1));
}

TEST(MaskedTransformer, ClassAndLevelAboveAreRead) {
  const Built built({.height = 2, .width = 4, .vocabulary = 3}, {}, 4, kAbove);
  const auto codes = scattered_codes(built.bed.grid, 1);
  const auto masked = torch::ones_like(codes, torch::kBool);
  CodeCondition condition = {.label = torch::tensor({-1}), .above = scattered_codes(kAbove, 1)};
  const auto logits = [&] { return built.prior->logits(codes, masked, condition, nullptr).detach(); };
  const auto not_told = logits();
  condition.label = torch::tensor({2});
  EXPECT_TRUE(logits().ne(not_told).any(2).all().item<bool>());
  condition.label = Tensor();
  expect_equal(logits(), not_told);
  condition.above = (condition.above + 1).remainder(3);
  EXPECT_TRUE(logits().ne(not_told).any(2).all().item<bool>());
}

TEST(MaskedTransformer, TrainingDrawsAndEvaluationDoesNotDropOut) {
  Built built(kSmall, {.dropout = 0.5});
  ScriptedNoise noise;
  noise.numbers = torch::tensor({0.6, 0.9, 0.1, 0.5, 0.2});
  const auto loss = [&](bool training, int64_t index) {
    built.bed.streams.rekey(index);
    auto step = Step{.training = training, .noise = noise, .streams = built.bed.streams, .collective = built.bed.collective};
    return built.prior->loss(scattered_codes(kSmall, 1), {}, step).value.item<double>();
  };
  EXPECT_NE(loss(true, 0), loss(true, 1));
  EXPECT_EQ(loss(false, 0), loss(false, 1));
}

MaskedTransformerConfig trained(int64_t steps) {
  return {.width = 32, .layers = 2, .heads = 2, .dropout = 0, .label_smoothing = 0, .steps = steps};
}

TEST(SlowMaskedTransformer, OverfitsOneImage) {
  PriorBed bed({.height = 4, .width = 4, .vocabulary = 16});
  expect_overfits(bed, *make_masked_transformer(trained(8), bed.context()), {.steps = 300, .batch_size = 4});
}

TEST(SlowMaskedTransformer, CannotPredictNoise) {
  PriorBed bed({.height = 3, .width = 3, .vocabulary = 8});
  expect_cannot_predict_noise(bed, *make_masked_transformer({.width = 16, .layers = 1}, bed.context()));
}

TEST(SlowMaskedTransformer, IndependentCodesAreRightInOnePass) {
  PriorBed bed({.height = 1, .width = 4, .vocabulary = 2});
  const auto prior = make_masked_transformer(trained(1), bed.context());
  const auto rates = torch::tensor({0.1, 0.4, 0.7, 0.9}).view({1, 4, 1});
  train(bed, *prior,
        [&](Stream& stream, int64_t B) {
          return (stream.uniform({B}, {1, 4, 1}) < rates).to(torch::kLong);
        },
        {.steps = 400, .batch_size = 128, .learning_rate = 1e-3});
  Stream noise(4, "sampling", at::kCPU);
  expect_close(prior->sample(4000, {}, {}, noise).to(torch::kDouble).mean(0), rates, 0, 0.06);
}

TEST(SlowMaskedTransformer, EqualCodesNeedSeveralPasses) {
  PriorBed bed({.height = 1, .width = 2, .vocabulary = 2});
  const auto equal_share = [&](int64_t steps) {
    const auto prior = make_masked_transformer(trained(steps), bed.context());
    train(bed, *prior,
          [&](Stream& stream, int64_t B) {
            return uniform_codes({.vocabulary = 2}, stream, B).expand({B, 1, 2, 1}).contiguous();
          },
          {.steps = 200, .batch_size = 64});
    Stream noise(4, "sampling", at::kCPU);
    const auto drawn = prior->sample(2000, {}, {}, noise).flatten(1);
    return drawn.select(1, 0).eq(drawn.select(1, 1)).to(torch::kDouble).mean().item<double>();
  };
  EXPECT_NEAR(equal_share(1), 0.5, 0.05);
  EXPECT_GT(equal_share(8), 0.95);
}

}  // namespace elbo::masked_transformer_test
